// The server's routes: every request is answered, with a status under 500 and, where it is refused, a message; nothing is left in
// the engine.
import fc from 'fast-check'
import { createServer } from '../../lib/index.js'
import { ServedPolicy } from '../server/served-policy.js'
import { applyEdits, edits } from './file-edits.js'
import { type Mutation, mutate, mutation } from './mutations.js'
import type { OpenTarget, Target } from './target.js'

const lookup = {
  type: 'function',
  function: {
    name: 'lookup',
    description: 'Looks it up',
    parameters: { type: 'object', properties: { query: { type: 'string' } } },
  },
}
const completion = {
  model: 'policy',
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'Capital of Peru?' }] },
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        { id: 'c', type: 'function', function: { name: 'lookup', arguments: '{"query":"Peru"}' } },
      ],
    },
    { role: 'tool', tool_call_id: 'c', content: 'Lima' },
  ],
  tools: [lookup],
  tool_choice: 'auto',
  temperature: 0.5,
  top_p: 0.9,
  top_k: 5,
  max_tokens: 30,
  stop: ['.'],
  seed: 7,
  n: 2,
  stream: false,
  stream_options: { include_usage: true },
  logprobs: true,
  logit_bias: { 5: -100 },
  metadata: { rollout: 'one' },
}
const start = {
  id: 'one',
  task: 'capital',
  metadata: { level: 3 },
  maxTokens: 100,
  maxTurnTokens: 20,
  temperature: 1,
  seed: 3,
}
const bodies: Record<string, object> = {
  '/v1/chat/completions': completion,
  '/hdpo/rollouts': start,
  '/hdpo/rollouts/one/finish': { correct: true, reward: 0.5, answer: 'Lima' },
  '/hdpo/rollouts/one/abandon': {},
  '/v1/models/policy': {},
  '/v1/responses': { model: 'policy', input: 'Capital of Peru?' },
  '/health': {},
  '/hdpo/metrics': {},
}

const request = fc.record({
  method: fc.constantFrom('POST', 'POST', 'POST', 'POST', 'GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'),
  path: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...Object.keys(bodies)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '/v1/models/%',
        '/hdpo/rollouts/%E0%A4%A/finish',
        '//',
        '/v1/models/%00',
        '/hdpo/rollouts//finish',
        '/v1/chat/completions/',
      ),
    },
  ),
  mutations: fc.array(mutation, { maxLength: 3 }),
  edits: fc.option(edits, { freq: 4 }),
  leaveOut: fc.boolean(),
  authorization: fc.constantFrom(
    undefined,
    undefined,
    'Bearer hdpo-key',
    'Bearer ',
    'Basic eA==',
    'Bearer hdpo-rollout-x',
  ),
  origin: fc.constantFrom(undefined, undefined, undefined, 'https://example.com', 'null'),
})
type Sent = typeof request extends fc.Arbitrary<infer Value> ? Value : never

export const server: Target = { name: 'server', shortRuns: 600, open }

async function open(): Promise<OpenTarget> {
  const property = fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 5 }), async (requests) => {
    const policy = new ServedPolicy(
      () => 'Let me see. <tool_call>{"name": "lookup", "arguments": {}}</tool_call><|end|>',
    )
    const warnings: string[] = []
    const served = createServer({
      policy,
      baseURL: 'http://127.0.0.1:1/v1',
      onWarning: (message) => warnings.push(message),
    })
    try {
      for (const sent of requests) await send(served.fetchHandler, sent)
    } finally {
      await served.close()
    }
    if (policy.live !== 0) throw new Error(`${policy.live} sequences were left`)
    const stack = warnings.find((warning) => /\n\s+at /.test(warning))
    if (stack !== undefined) throw new Error(`a mistake of the server itself: ${stack}`)
  })
  return { property, close: async () => {} }
}

async function send(handler: ReturnType<typeof createServer>['fetchHandler'], sent: Sent): Promise<void> {
  const body = bodyOf(sent)
  const headers = new Headers({ 'content-type': 'application/json' })
  if (sent.authorization !== undefined) headers.set('authorization', sent.authorization)
  if (sent.origin !== undefined) headers.set('origin', sent.origin)
  const carriesBody = sent.method !== 'GET' && sent.method !== 'HEAD'
  const init = { method: sent.method, headers, ...(carriesBody && { body: new Uint8Array(body) }) }
  const response = await handler(new Request(`http://127.0.0.1${sent.path}`, init))
  const text = await response.text()
  const where = `${sent.method} ${sent.path} ${body.toString('latin1').slice(0, 300)}`
  if (response.status >= 500) throw new Error(`${where} was answered by ${response.status}: ${text}`)
  if (response.status >= 400 && sent.method !== 'HEAD') {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } }
    if (typeof error?.message !== 'string' || error.message === '')
      throw new Error(`${where} was refused without a word: ${text}`)
  }
}

function bodyOf({ path, mutations, edits: given, leaveOut }: Sent): Buffer {
  const [specimen] = mutate(
    [leaveOut ? withoutSome(bodies[path] ?? {}, mutations) : (bodies[path] ?? {})],
    mutations,
  )
  const body = Buffer.from(toJson(specimen))
  return given === null ? body : applyEdits(body, given)
}

/** Optional keys are left out, so that what the mutation is about is reached. */
function withoutSome(body: object, mutations: readonly Mutation[]): object {
  const at = mutations[0]?.at ?? 0
  return Object.fromEntries(
    Object.entries(body).filter(
      ([key], index) => key === 'model' || key === 'messages' || (at >> index) % 2 === 0,
    ),
  )
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    // A circle, a BigInt: no client can send one.
    return '{}'
  }
}
