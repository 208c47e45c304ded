import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import {
  Agent,
  type Dispatcher,
  getGlobalDispatcher,
  setGlobalDispatcher,
  fetch as undiciFetch,
} from 'undici'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { fetchWithRetries } from '../../lib/http/fetch-with-retries.js'
import { patientFetch } from '../../lib/http/patient-fetch.js'
import { connectMcp } from '../../lib/tools/mcp.js'

const made = vi.hoisted((): Agent.Options[] => [])
vi.mock('undici', async (original) => {
  const undici = await original<typeof import('undici')>()
  class RecordedAgent extends undici.Agent {
    constructor(options: Agent.Options = {}) {
      super(options)
      made.push(options)
    }
  }
  return { ...undici, Agent: RecordedAgent }
})

const servers: Server[] = []
let defaults: Dispatcher

// What a request gets that says nothing of its own.
beforeEach(() => {
  defaults = getGlobalDispatcher()
  setGlobalDispatcher(new Agent({ headersTimeout: 100, bodyTimeout: 100 }))
})

afterEach(async () => {
  await getGlobalDispatcher().close()
  setGlobalDispatcher(defaults)
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function serve(listener: RequestListener): Promise<Server & { url: string }> {
  const server = createServer(listener)
  servers.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return Object.assign(server, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

// undici looks at its time-outs about once a second.
const slowly = 2500

it('waits for headers and body as long as the caller does, whatever undici would', async () => {
  const { url } = await serve((_request, response) => {
    setTimeout(() => response.write('first '), slowly)
    setTimeout(() => response.end('last'), 2 * slowly)
  })
  const asked = { timeout: 60_000, retries: 0 }
  const read = (response: Response) => response.text()
  const [answer, plain] = await Promise.all([
    fetchWithRetries(url, {}, read, asked),
    undiciFetch(url).catch((error: Error) => error),
  ])
  expect(answer).toBe('first last')
  expect(plain).toBeInstanceOf(TypeError)
})

it('ends with the time-out that was asked for', async () => {
  const { url } = await serve(() => {})
  const began = performance.now()
  const asking = fetchWithRetries(url, {}, (response) => response.text(), { timeout: 300, retries: 0 })
  await expect(asking).rejects.toThrow('no answer within 300 ms')
  expect(performance.now() - began).toBeLessThan(2000)
})

it('has no limit of 300 s for headers or body, and keeps the one for connecting', async () => {
  const { url } = await serve((_request, response) => response.end('ok'))
  made.length = 0
  vi.resetModules()
  const fresh = await import('../../lib/http/patient-fetch.js')
  expect(await (await fresh.patientFetch(url)).text()).toBe('ok')
  expect(made).toEqual([{ headersTimeout: 0, bodyTimeout: 0 }])
})

it('lets the process end while connections are kept alive', async () => {
  const server = await serve((_request, response) => response.end('ok'))
  server.keepAliveTimeout = 60_000
  const module = JSON.stringify(new URL('../../lib/http/patient-fetch.ts', import.meta.url).href)
  const script = `const { patientFetch } = await import(${module})
    await (await patientFetch(${JSON.stringify(server.url)})).text()
    console.log('answered')`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script])
  let answered = 0
  child.stdout.once('data', () => {
    answered = performance.now()
  })
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
  expect(answered).toBeGreaterThan(0)
  expect(performance.now() - answered).toBeLessThan(2500)
})

it('asks through the proxy of the environment, except on loopback', async () => {
  const target = await serve((_request, response) => response.end('from the target'))
  const proxy = await serve((_request, response) => response.writeHead(500).end())
  const tunnels: string[] = []
  proxy.on('connect', ({ url = '' }, socket) => {
    tunnels.push(url)
    const far = connect((target.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      far.pipe(socket).pipe(far)
    })
    far.on('error', () => socket.destroy())
    socket.on('error', () => far.destroy())
  })
  vi.stubEnv('HTTP_PROXY', proxy.url)
  vi.resetModules()
  const fresh = await import('../../lib/http/patient-fetch.js')
  expect(await (await fresh.patientFetch('http://judge.test/v1')).text()).toBe('from the target')
  expect(await (await fresh.patientFetch(target.url)).text()).toBe('from the target')
  expect(tunnels).toEqual(['judge.test:80'])
})

it('serves MCP over HTTP, whose streams are silent for long', async () => {
  const { url } = await serve(async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(405).end()
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { id, method } = JSON.parse(Buffer.concat(chunks).toString())
    if (id === undefined) return response.writeHead(202).end()
    const results: Record<string, object> = {
      initialize: {
        protocolVersion: '2025-06-18',
        capabilities: { tools: {} },
        serverInfo: { name: 'slow', version: '1' },
      },
      'tools/list': { tools: [{ name: 'wait', inputSchema: { type: 'object' } }] },
    }
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? {} })
    const send = () => response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
    return method === 'tools/list' ? setTimeout(send, slowly) : send()
  })
  const server = await connectMcp({ url })
  expect(server.tools.map(({ name }) => name)).toEqual(['wait'])
  await server.close()
})

it('refuses what is no address as fetch does', async () => {
  await expect(patientFetch('nowhere')).rejects.toThrow(TypeError)
})
