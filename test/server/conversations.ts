// Scripts and helpers that the server's tests share.
import { afterEach } from 'vitest'
import { type AgentServer, createServer, type RolloutHandle } from '../../lib/server/create-server.js'
import type { ServerOptions } from '../../lib/server/server-options.js'
import { type Script, ServedPolicy } from './served-policy.js'

export const call = (name: string, input: unknown = {}) =>
  `<tool_call>${JSON.stringify({ name, arguments: input })}</tool_call>`

/** Looks up the question, then answers with what it found. */
export const lookupScript: Script = (conversation) => {
  const found = conversation.match(/tool: (.*)\n/)?.[1]
  return found === undefined
    ? `I look it up.\n${call('lookup', { query: 'capital', limit: 2 })}<|end|>`
    : `It is ${found}.<|end|>`
}

export const lookupTool = {
  type: 'function' as const,
  function: {
    name: 'lookup',
    description: 'Looks something up',
    parameters: { type: 'object', properties: { query: { type: 'string' }, limit: { type: 'number' } } },
  },
}

export interface Served {
  server: AgentServer
  policy: ServedPolicy
  url: string
  warnings: string[]
  rollout(options?: Partial<Parameters<AgentServer['startRollout']>[0]>): RolloutHandle
}

const open: AgentServer[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

/** A server on a port of its own, closed after the test. */
export async function serve(script: Script, options: Partial<ServerOptions> = {}): Promise<Served> {
  const policy = new ServedPolicy(script)
  const warnings: string[] = []
  const server = createServer({ policy, onWarning: (message) => warnings.push(message), ...options })
  open.push(server)
  const { url } = await server.listen()
  return {
    server,
    policy,
    url,
    warnings,
    rollout: (more = {}) => server.startRollout({ task: { id: 'capital' }, ...more }),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: what a test expects of an answer is its check.
type Answer = any

/** Sends a POST with a JSON body; returns the status and the parsed answer. */
export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; json: Answer; headers: Headers }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, json: await response.json(), headers: response.headers }
}

export const ask = (content: string, more: object = {}) => ({
  model: 'policy',
  messages: [{ role: 'user', content }],
  ...more,
})
