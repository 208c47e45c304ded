// Whatever a client sends is answered as OpenAI's API answers: never by a failure of the server, never with a stack.
import { request as httpRequest } from 'node:http'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAtlas } from '../../lib/families/atlas/atlas.js'
import { Policy } from '../../lib/policy/policy.js'
import { type AgentServer, createServer } from '../../lib/server/create-server.js'
import { lookupTool } from './conversations.js'

const origin = 'http://127.0.0.1:8000'
const warnings: string[] = []
let policy: Policy
let server: AgentServer
let url: string

beforeAll(async () => {
  const { tokenizer, template, model } = createAtlas()
  const small = { hiddenSize: 32, layers: 2, heads: 2, kvHeads: 1, headDim: 16, intermediateSize: 64 }
  policy = await Policy.create({ tokenizer, template, config: { ...model, ...small }, seed: 3, threads: 1 })
  server = createServer({
    policy,
    maxRollouts: 1e6,
    onWarning: (message) => warnings.push(message),
  })
  url = (await server.listen()).url
})
afterAll(async () => {
  await server?.close()
  await policy?.close()
})

const valid = {
  model: 'policy',
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'hi' }] },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'lookup', arguments: '{"query":1}' } }],
    },
    { role: 'tool', tool_call_id: 'a', content: 'found' },
  ],
  tools: [lookupTool],
  tool_choice: 'auto',
  parallel_tool_calls: true,
  temperature: 1,
  top_p: 0.9,
  top_k: 5,
  min_p: 0.1,
  max_tokens: 3,
  max_completion_tokens: 3,
  stop: ['x'],
  seed: 1,
  n: 1,
  stream: false,
  stream_options: { include_usage: true },
  logprobs: true,
  logit_bias: { 5: 1 },
  return_token_ids: true,
  metadata: { a: 'b' },
  response_format: { type: 'text' },
  user: 'me',
}

// What is not JSON's is left out: bodies are what a client can write.
const strange = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>,
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    '__proto__',
    -1,
    0,
    1.5,
    1e308,
    -0,
    2 ** 31,
    2 ** 53,
    '\ud800',
    '\u0000',
    [],
    {},
    [[]],
    [null],
    { length: 1e9 },
    'x'.repeat(70_000),
  ),
)

/** Every path to a value within `value`. */
function pathsOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path]
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value)
  return [path, ...entries.flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
}

function replaced(value: unknown, [key, ...rest]: (string | number)[], by: unknown): unknown {
  if (key === undefined) return by
  if (Array.isArray(value)) return value.with(key as number, replaced(value[key as number], rest, by))
  const record = value as Record<string, unknown>
  return { ...record, [key]: replaced(record[key], rest, by) }
}

const changed = (whole: object) =>
  fc
    .array(fc.tuple(fc.constantFrom(...pathsOf(whole)), strange), { minLength: 1, maxLength: 2 })
    .map((changes) =>
      changes.reduce<unknown>((value, [path, by]) => {
        try {
          return replaced(value, path, by)
        } catch {
          return value // an earlier change took the place away
        }
      }, whole),
    )

async function send(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return server.fetchHandler(
    new Request(`${origin}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }),
  )
}

/** Refusals have OpenAI's form and say nothing of the server's inside; the server has nothing to report. */
function checkAnswer(status: number, text: string): void {
  expect(warnings.splice(0)).toEqual([])
  expect(status, text).toBeLessThan(500)
  // A stream has begun with status 200 when it fails.
  expect(text).not.toContain('"server_error"')
  expect(text).not.toMatch(/\n\s+at |node_modules|\.ts:\d/)
  if (status < 400 || text === '') return
  const { error } = JSON.parse(text)
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
  expect(typeof error.message).toBe('string')
  expect(error.message.length).toBeLessThan(2000)
  expect(error.param === null || typeof error.param === 'string').toBe(true)
}

const answered = async (response: Response) => checkAnswer(response.status, await response.text())
// The same requests every time, unless more are asked for.
const { HDPO_FUZZ_RUNS = '150', HDPO_FUZZ_SEED = '13' } = process.env
const runs = { numRuns: Number(HDPO_FUZZ_RUNS), seed: Number(HDPO_FUZZ_SEED) }

describe('any request', () => {
  it('to the completions', async () => {
    expect((await send('/v1/chat/completions', valid)).status).toBe(200)
    await fc.assert(
      fc.asyncProperty(changed(valid), async (body) => answered(await send('/v1/chat/completions', body))),
      runs,
    )
  }, 600_000)

  it('that bans every token', async () => {
    const all = Object.fromEntries(Array.from({ length: policy.tokenizer.vocabSize }, (_, id) => [id, -100]))
    const response = await send('/v1/chat/completions', { ...valid, logit_bias: all })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      error: { param: 'logit_bias', message: 'logit_bias: bans every token of the policy' },
    })
  })

  it('to the rollouts', async () => {
    const start = { id: 'r1', task: 't', metadata: { a: 1 }, maxTokens: 9, temperature: 1, seed: 3 }
    const outcome = { correct: true, reward: 1, answer: 'x' }
    const routes = fc.constantFrom('/hdpo/rollouts', '/hdpo/rollouts/r1/finish', '/hdpo/rollouts/r1/abandon')
    await fc.assert(
      fc.asyncProperty(routes, fc.oneof(changed(start), changed(outcome)), async (path, body) =>
        answered(await send(path, body)),
      ),
      runs,
    )
    await server.fetchHandler(new Request(`${origin}/hdpo/metrics`))
  }, 600_000)

  it('of bytes that are no JSON', async () => {
    const bodies = fc.oneof(
      fc.string(),
      fc.constantFrom('', '{', '[', 'nul', '{"a":1e999}', '{"seed":7301456228930019841}', '"\\ud800"'),
      fc.nat(5000).map((depth) => '['.repeat(depth)),
      fc.nat(5000).map((depth) => `{"model":"policy","messages":${'['.repeat(depth)}${']'.repeat(depth)}}`),
    )
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => answered(await send('/v1/chat/completions', body))),
      runs,
    )
  }, 600_000)

  it('with any path, method and headers', async () => {
    const path = fc.oneof(
      fc.constantFrom('/health', '/v1/models/%E0%A4%A', '/hdpo/rollouts/%/finish', '//', '/%00', '*', '/?%'),
      fc.constantFrom('/hdpo/rollouts/a/b', '/v1/responses', '/v1/chat/completions?x=%E0', 'http://[/'),
      fc.webPath().map((given) => `/${given}`),
      fc
        .array(fc.constantFrom('/', '%', '..', 'v1', 'models', 'hdpo', '\\', ';', '?', '#', 'é'), {
          maxLength: 8,
        })
        .map((parts) => encodeURI(`/${parts.join('')}`).replaceAll('%25', '%')),
    )
    const method = fc.constantFrom(
      'GET',
      'HEAD',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'OPTIONS',
      'TRACE',
      'QUERY',
    )
    const headers = fc.record(
      {
        host: fc.constantFrom('localhost', '[::1]', '127.0.0.1:1', 'localhost:99999', 'a@localhost', ''),
        'content-type': fc.constantFrom('application/json', 'text/plain', 'application/jsonx', ';', ''),
        'content-encoding': fc.constantFrom('gzip', 'identity', 'x'),
        authorization: fc.constantFrom('Bearer', 'Bearer hdpo-rollout-x', 'Basic x', '\u00e9'),
        'x-hdpo-rollout': fc.constantFrom('', 'nobody', '\u00ff'),
        origin: fc.constantFrom('null', 'http://evil.example', '::', 'http://localhost'),
        'sec-fetch-site': fc.constantFrom('cross-site', 'same-origin', 'same-site', 'none', 'x'),
        cookie: fc.constantFrom('hdpo-ui=%', 'a'),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(path, method, headers, async (path, method, headers) => {
        const { status, text } = await overTheWire(path, method, headers)
        checkAnswer(status, text)
      }),
      runs,
    )
  }, 600_000)
})

function overTheWire(path: string, method: string, headers: Record<string, string>) {
  const { hostname, port } = new URL(url)
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const request = httpRequest({ hostname, port, path, method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(method === 'POST' ? '{}' : undefined)
  })
}
