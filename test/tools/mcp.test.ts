import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { runToolCall } from '../../lib/rollout/run-tool-call.js'
import type { ToolCallRecord } from '../../lib/rollout/types.js'
import { connectMcp, type McpConnection, type McpServer } from '../../lib/tools/mcp.js'
import { refuses } from '../core/wrong-options.js'
import { createServer } from './mcp/tools.mjs'

const program = (file: string, ...args: string[]) => ({
  command: process.execPath,
  args: [fileURLToPath(new URL(`mcp/${file}`, import.meta.url)), ...args],
})
const opened: McpConnection[] = []
const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((connection) => connection.close()))
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
})

/** Connects with a timeout that lets calls wait for a restarting server even on a busy machine. */
async function connect(server: McpServer): Promise<McpConnection> {
  const connection = await connectMcp({ patience: 120_000, ...server })
  opened.push(connection)
  return connection
}

/** A file in which a raw server notes its starts. */
function notesFile(): string {
  const notes = join(tmpdir(), `hdpo-mcp-${randomUUID()}`)
  cleanUps.push(() => rmSync(notes, { force: true }))
  return notes
}

/** Connects to a raw server in `mode`, which notes its starts. */
async function connectRaw(mode: string, options: Partial<McpServer> = {}) {
  return connect({ ...program('raw-server.mjs', mode, notesFile()), ...options } as McpServer)
}

/** Calls a tool as a rollout does. */
function call(
  { tools }: McpConnection,
  name: string,
  input: unknown = {},
  { signal = new AbortController().signal, limit = 8192 } = {},
): Promise<ToolCallRecord> {
  return runToolCall(
    { kind: 'call', name, arguments: input as Record<string, unknown> },
    {
      tools,
      toolTimeout: 120_000,
      toolConcurrency: 64,
      maxObservationCharacters: limit,
      rolloutId: 'rollout',
      rolloutEnded: new AbortController().signal,
      signal,
    },
  )
}

describe('a server over stdio', () => {
  let server: McpConnection
  beforeAll(async () => {
    server = await connectMcp(program('server.mjs'))
  })
  afterAll(() => server.close())

  it('lists its tools, and they run', async () => {
    const add = server.tools.find(({ name }) => name === 'add')
    expect(add).toMatchObject({
      description: 'Adds two numbers',
      parameters: { type: 'object', properties: { a: { type: 'number' } }, required: ['a', 'b'] },
    })
    expect(add?.parameters).not.toHaveProperty('$schema')
    expect(await call(server, 'add', { a: 2, b: 3 })).toMatchObject({ outcome: 'ok', observation: '5' })
    expect(await call(server, 'data')).toMatchObject({ outcome: 'ok', observation: '{"celsius":21}' })
    const many = await Promise.all(Array.from({ length: 100 }, (_, n) => call(server, 'add', { a: n, b: n })))
    expect(many.map(({ observation }) => observation)).toEqual(many.map((_, n) => String(2 * n)))
  })

  it('what goes wrong in a tool is an observation', async () => {
    expect(await call(server, 'add', { a: '2' })).toMatchObject({
      outcome: 'bad-arguments',
      observation: expect.stringContaining("must have required property 'b'; a: must be number"),
    })
    expect(await call(server, 'fail')).toMatchObject({
      outcome: 'error',
      observation: 'fail failed: no such city',
    })
    const megabyte = await call(server, 'megabyte', {}, { limit: 100 })
    expect(megabyte.observation).toBe(`${'x'.repeat(100)}\n[truncated: the first 100 of 1048576 characters]`)
  })

  it('images have their place, and the policy reads why it sees none', async () => {
    expect(await call(server, 'picture')).toMatchObject({
      outcome: 'error',
      observation: 'picture failed: the result is 1 image (image/png), but the policy reads text only',
    })
    expect(await call(server, 'picture', { caption: 'A dot' })).toMatchObject({
      outcome: 'ok',
      observation: 'A dot\n[1 image (image/png) left out: the policy reads text only]',
    })
  })

  it('gets none of our environment but what it is given', async () => {
    process.env.HDPO_TEST_SECRET = 'secret'
    cleanUps.push(() => delete process.env.HDPO_TEST_SECRET)
    const server = await connect({ ...program('server.mjs'), env: { GIVEN: 'yes' } })
    const { observation } = await call(server, 'keys')
    expect(observation).toContain('GIVEN')
    expect(observation).not.toContain('HDPO_TEST_SECRET')
  })

  it('takes a prefix, and some of the tools', async () => {
    const server = await connect({ ...program('server.mjs'), prefix: 'test_', only: ['add'] })
    expect(server.tools.map(({ name }) => name)).toEqual(['test_add'])
    expect(await call(server, 'test_add', { a: 1, b: 1 })).toMatchObject({ outcome: 'ok', observation: '2' })
    await expect(connectMcp({ ...program('server.mjs'), only: ['ad'] })).rejects.toThrow(
      /^connectMcp\.only: must be names of the server's tools, which are add, pid.*, got 'ad'$/,
    )
  })

  it('a call that is stopped leaves the server alone', async () => {
    const stopped = new AbortController()
    setTimeout(() => stopped.abort(), 100)
    expect(await call(server, 'slow', {}, { signal: stopped.signal })).toMatchObject({
      outcome: 'error',
      observation: 'slow was stopped',
    })
    expect(await call(server, 'add', { a: 1, b: 1 })).toMatchObject({ outcome: 'ok' })
    expect(server.restarts).toBe(0)
  })

  it('a slow tool times out and leaves the server alone', async () => {
    // Long enough for the other tool's answer on a busy machine.
    const server = await connect({ ...program('server.mjs'), timeout: 2000 })
    expect(await call(server, 'slow')).toMatchObject({
      outcome: 'timeout',
      observation: 'slow failed: no answer in 2000 ms',
    })
    expect(await call(server, 'add', { a: 1, b: 1 })).toMatchObject({ outcome: 'ok' })
    expect(server.restarts).toBe(0)
  })
})

describe('a server that dies', () => {
  it('is started again; the calls it took with it say so, later ones wait', async () => {
    const server = await connect(program('server.mjs'))
    const { observation: before } = await call(server, 'pid')
    const taken = await Promise.all([call(server, 'die'), call(server, 'slow')])
    for (const { outcome, observation } of taken) {
      expect(outcome).toBe('error')
      expect(observation).toContain('the server went away during the call')
    }
    const { outcome, observation: after } = await call(server, 'pid')
    expect(outcome).toBe('ok')
    expect(after).not.toBe(before)
    expect(server.restarts).toBe(1)
  })

  it('while 256 rollouts use it: all go on, most without noticing', async () => {
    const server = await connect(program('server.mjs'))
    const rollouts = Array.from({ length: 256 }, async (_, n) => {
      if (n % 100 === 50) return call(server, 'die')
      return call(server, 'add', { a: n, b: 1 })
    })
    const records = await Promise.all(rollouts)
    const added = records.filter(({ name }) => name === 'add')
    const right = added.filter(({ outcome, arguments: input, observation }) => {
      return outcome === 'ok' && observation === String((input as { a: number }).a + 1)
    })
    // A call that was lost to two crashes in a row is not made a third time.
    expect(right.length).toBeGreaterThan(added.length / 2)
    for (const { outcome } of added) expect(['ok', 'error']).toContain(outcome)
    expect(await call(server, 'add', { a: 1, b: 1 })).toMatchObject({ outcome: 'ok', observation: '2' })
    expect(server.restarts).toBeGreaterThan(0)
  })

  it('a call that only reads is made again', async () => {
    const server = await connectRaw('repeatable')
    expect(await call(server, 'read')).toMatchObject({ outcome: 'ok', observation: 'back' })
  })

  it('a call that only reads says so when the server dies of it a second time', async () => {
    const server = await connectRaw('always')
    expect(await call(server, 'read')).toMatchObject({
      outcome: 'error',
      observation: expect.stringContaining('the server went away during the call'),
    })
  })

  it('a call outside of a rollout keeps the process alive until it has its answer', async () => {
    const { command, args } = program('raw-server.mjs', 'once', notesFile())
    const lines = [
      `import { connectMcp } from ${JSON.stringify(join(import.meta.dirname, '../../lib/index.ts'))}`,
      `const { tools, close } = await connectMcp(${JSON.stringify({ command, args })})`,
      'const call = () => tools[0].run({}, { signal: new AbortController().signal }).then(String, () => "gone")',
      'console.log(await call(), await call())',
      'await close()',
    ]
    const flags = ['--import', 'tsx', '--input-type=module', '--eval', lines.join('\n')]
    const { stdout } = await promisify(execFile)(process.execPath, flags, {
      cwd: join(import.meta.dirname, '../..'),
    })
    expect(stdout.trim()).toBe('gone back')
  })

  it('a call that may do something is not', async () => {
    const server = await connectRaw('once')
    expect(await call(server, 'read')).toMatchObject({ outcome: 'error' })
    expect(await call(server, 'read')).toMatchObject({ outcome: 'ok', observation: 'back' })
  })

  it('for good: calls wait as long as they may, attempts get rarer, and closing ends it', async () => {
    const notes = join(tmpdir(), `hdpo-mcp-${randomUUID()}`)
    cleanUps.push(() => rmSync(notes, { force: true }))
    const server = await connect({ ...program('raw-server.mjs', 'stays-dead', notes), patience: 1500 })
    await call(server, 'read')
    const start = performance.now()
    expect(await call(server, 'read')).toMatchObject({
      outcome: 'error',
      observation: expect.stringContaining('the server is down'),
    })
    expect(performance.now() - start).toBeGreaterThan(1000)
    // The pauses are 100, 200, 400 and 800 ms.
    expect(readFileSync(notes, 'utf8').trim().split('\n').length).toBeLessThanOrEqual(6)
    const waiting = call(server, 'read')
    setTimeout(() => void server.close(), 50)
    expect(await waiting).toMatchObject({ outcome: 'error' })
  })
})

describe('a server that misbehaves', () => {
  it('hangs: it is replaced', async () => {
    const server = await connectRaw('hang', { timeout: 2000 })
    expect(await call(server, 'read')).toMatchObject({ outcome: 'timeout' })
    expect(await call(server, 'read')).toMatchObject({ outcome: 'ok', observation: 'back' })
    expect(server.restarts).toBe(1)
  })

  it('sends more than it may: it is replaced', async () => {
    const server = await connectRaw('giant', { maxMessageBytes: 1_000_000 })
    expect(await call(server, 'read')).toMatchObject({ outcome: 'error' })
    expect(await call(server, 'read')).toMatchObject({ outcome: 'ok', observation: 'back' })
  })

  it.each([
    ['writes what is not JSON', 'garbage', 'ok', /^fine$/],
    ['answers what nobody asked', 'no-such-protocol', 'ok', /^fine$/],
    ['sends no content', 'no-content', 'ok', /^$/],
    ['sends content of another kind', 'content-number', 'error', /content/],
    ['sends data against its own schema', 'output', 'error', /celsius/],
    ['refuses', 'error', 'error', /the database is locked/],
  ])('%s', async (_, mode, outcome, observation) => {
    const server = await connectRaw(mode)
    expect(await call(server, 'read')).toMatchObject({
      outcome,
      observation: expect.stringMatching(observation),
    })
  })

  it.each([
    ['has two tools of one name', 'duplicates', /two tools named "get_page" \("get\.page", "get_page"\)/],
    ['has a name that is too long', 'long-name', /has 80 characters/],
    ['takes no object', 'no-object', /inputSchema|odd/],
    ['has a schema that is none', 'bad-schema', /MCP tool "odd": input: must be a valid JSON Schema, got/],
    [
      'dies at once',
      'dies',
      /cannot connect to the MCP server .*raw-server\.mjs dies[\s\S]*config\.toml: no such file/,
    ],
  ])('%s: refused by name', async (_, mode, message) => {
    await expect(connectRaw(mode)).rejects.toThrow(message)
  })

  it('does not exist', async () => {
    await expect(connectMcp({ command: 'hdpo-no-such-program' })).rejects.toThrow(/cannot connect.*ENOENT/)
  })
})

describe('a server with odd tools', () => {
  const longest = 'long'.repeat(20)
  const left = ['text', 'unknown-type', 'dangling', longest]

  it('offers the others, and names those that it leaves out', async () => {
    const warnings: string[] = []
    const server = await connectRaw('odd', { onWarning: (text) => warnings.push(text) })
    const names = server.tools.map(({ name }) => name)
    expect(names).toEqual([
      'good',
      'required-null',
      'empty',
      'none',
      'nulls',
      'escape',
      'flags',
      'slow',
      'slow-key',
      'slow-output',
      'odd-output',
      'lookahead',
    ])
    expect(warnings).toHaveLength(2)
    for (const name of left) expect(warnings[0]).toContain(`"${name}": `)
    expect(warnings[0]).toMatch(
      /type must be "object", got "string".*nothing is at the reference "#\/definitions\/nowhere".*80 characters/,
    )
    expect(warnings[1]).toMatch(/"odd-output": its results.*"lookahead": the pattern \^\(\?!x\)\.\*\$/)
    for (const name of names.filter((each) => each !== 'slow-output'))
      expect(await call(server, name), name).toMatchObject({ outcome: 'ok', observation: 'ok' })
  })

  it.each(left)(
    '%s: refused by name where it was asked for, and no hindrance where it was not',
    async (name) => {
      await expect(connectRaw('odd', { only: ['good', name] })).rejects.toThrow(`MCP tool "${name}": `)
    },
  )

  it.each([
    ['escape', { s: 'https://a' }, { s: 'http://a' }],
    ['flags', { s: 'ABC' }, { s: 'a1' }],
    ['slow', { s: 'aaa' }, { s: `${'a'.repeat(200)}!` }],
    ['slow-key', { aaa: 1 }, { [`${'a'.repeat(200)}!`]: 1 }],
    ['lookahead', { s: 'x' }, { s: 1 }],
  ])('checks what it can, soon: %s', async (name, right, wrong) => {
    const server = await connectRaw('odd', { only: [name], onWarning: () => {} })
    const start = performance.now()
    expect(await call(server, name, right)).toMatchObject({ outcome: 'ok' })
    expect(await call(server, name, wrong)).toMatchObject({ outcome: 'bad-arguments' })
    expect(performance.now() - start).toBeLessThan(10_000)
  })

  it('results too', async () => {
    const server = await connectRaw('odd', { only: ['slow-output'] })
    expect(await call(server, 'slow-output')).toMatchObject({
      outcome: 'error',
      observation: expect.stringMatching(/s: must match pattern/),
    })
  })

  it('5,000 tools are listed soon, each with its own schema', async () => {
    const start = performance.now()
    const server = await connectRaw('many')
    // 1.7 s of CPU; with a compiler for each it took 108.
    expect(performance.now() - start).toBeLessThan(30_000)
    expect(server.tools).toHaveLength(5000)
    expect(await call(server, 'tool-4999', { a4999: 'abc', list: [{ n: 5000 }] })).toMatchObject({
      outcome: 'ok',
    })
    expect(await call(server, 'tool-4999', { a4999: 'abc', list: [{ n: 4998 }] })).toMatchObject({
      observation: expect.stringContaining('list.0.n: must be >= 4999'),
    })
    expect(await call(server, 'tool-7', { a8: 'abc' })).toMatchObject({
      observation: expect.stringContaining("must have required property 'a7'"),
    })
  })
})

describe('a server over HTTP', () => {
  /** A server that forgets its sessions when it comes back. */
  async function listen(): Promise<{
    url: string
    headers: string[]
    forget(): void
    goAway(): void
    comeBack(): void
  }> {
    const sessions = new Map<string, NodeStreamableHTTPServerTransport>()
    const headers: string[] = []
    const server: Server = createHttpServer(async (request, response) => {
      headers.push(String(request.headers['x-key']))
      const known = sessions.get(String(request.headers['mcp-session-id']))
      if (known) return known.handleRequest(request, response)
      if (request.headers['mcp-session-id']) return response.writeHead(404).end()
      const transport = new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => void sessions.set(id, transport),
      })
      await createServer().connect(transport)
      await transport.handleRequest(request, response)
    })
    // While it is away it keeps its port, which a test that runs beside this one could take otherwise.
    let away = false
    server.on('connection', (socket) => away && socket.destroy())
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    cleanUps.push(async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
      headers,
      forget: () => sessions.clear(),
      goAway: () => {
        away = true
        sessions.clear()
        server.closeAllConnections()
      },
      comeBack: () => {
        away = false
      },
    }
  }

  it('runs its tools, with the headers given', async () => {
    const { url, headers } = await listen()
    const server = await connect({ url, headers: { 'x-key': 'k' } })
    expect(await call(server, 'add', { a: 2, b: 3 })).toMatchObject({ outcome: 'ok', observation: '5' })
    expect(await call(server, 'fail')).toMatchObject({
      outcome: 'error',
      observation: 'fail failed: no such city',
    })
    expect(new Set(headers)).toEqual(new Set(['k']))
  })

  it('goes away and comes back: calls wait for it', async () => {
    const { url, goAway, comeBack } = await listen()
    const server = await connect({ url })
    goAway()
    const waiting = call(server, 'add', { a: 1, b: 2 })
    await new Promise((resolve) => setTimeout(resolve, 300))
    comeBack()
    expect(await waiting).toMatchObject({ outcome: 'ok', observation: '3' })
    expect(server.restarts).toBe(1)
  })

  it('forgets the session: a new one is opened', async () => {
    const { url, forget } = await listen()
    const server = await connect({ url })
    forget()
    expect(await call(server, 'pid')).toMatchObject({ outcome: 'ok', observation: String(process.pid) })
  })

  it('sends more than it may', async () => {
    const { url } = await listen()
    const server = await connect({ url, maxMessageBytes: 100_000, timeout: 5000 })
    const { outcome } = await call(server, 'megabyte')
    expect(['error', 'timeout']).toContain(outcome)
    expect(await call(server, 'add', { a: 1, b: 1 })).toMatchObject({ outcome: 'ok' })
  })

  it('cannot be reached', async () => {
    await expect(
      connectMcp({ url: 'http://127.0.0.1:9/mcp', headers: { authorization: 'Bearer secret' } }),
    ).rejects.toThrow(/^(?!.*secret).*cannot connect to the MCP server http:\/\/127\.0\.0\.1:9\/mcp/)
  })
})

describe('connectMcp refuses', () => {
  refuses(connectMcp, [
    [{}, 'connectMcp.command: must be text, where no url is given, got undefined'],
    [
      { command: 'a', url: 'http://a' },
      "connectMcp.url: must be left out where command is given, got 'http://a'",
    ],
    [
      { url: 'file:///etc/passwd' },
      "connectMcp.url: must be an address that begins with http:// or https://, got 'file:///etc/passwd'",
    ],
    [{ command: 'a', args: 'b' }, "connectMcp.args: must be a list, got 'b'"],
    [{ command: 'a', env: { KEY: 1234 } }, 'connectMcp.env.KEY: must be text, got a number'],
    [
      { command: 'a', timeout: 0 },
      'connectMcp.timeout: must be greater than 0 and at most 1073741824, got 0',
    ],
    [
      { command: 'a', patience: '1' },
      "connectMcp.patience: must be a number greater than 0 and at most 1073741824, got '1'",
    ],
    [
      { command: 'a', prefix: 'a b' },
      `connectMcp.prefix: must be at most 32 letters, digits, "_" or "-", got 'a b'`,
    ],
    [
      { comand: 'a' },
      "connectMcp.comand: must be left out (there is no such option; did you mean command?), got 'a'",
    ],
  ])
})
