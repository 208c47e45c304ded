import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { redact } from '../../lib/core/redact.js'
import { runToolCall } from '../../lib/rollout/run-tool-call.js'
import { type WebSearchOptions, type WebSearchProvider, webSearchTool } from '../../lib/tools/web-search.js'
import { refuses } from '../core/wrong-options.js'

const keys = { serper: 'serper-key-0123', serpapi: 'serpapi-key-0123', brave: 'brave-key-0123' }
const variables = { serper: 'SERPER_API_KEY', serpapi: 'SERPAPI_API_KEY', brave: 'BRAVE_API_KEY' }
const providers = Object.keys(keys) as WebSearchProvider[]

interface Request {
  path: string
  parameters: Record<string, string>
  headers: IncomingMessage['headers']
}

/** A fault that the next requests get instead of the answer. */
type Fault = (response: ServerResponse) => void

let server: Server
let base: string
let cache: string
let requests: Request[]
let faults: Fault[]
beforeEach(async () => {
  requests = []
  faults = []
  cache = mkdtempSync(join(tmpdir(), 'hdpo-web-'))
  for (const provider of providers) vi.stubEnv(variables[provider], keys[provider])
  server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  vi.unstubAllEnvs()
  rmSync(cache, { recursive: true })
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

/** Behaves as the documentation of the three services says. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '', base)
  const body = await text(request)
  const parameters = { ...Object.fromEntries(url.searchParams), ...(body && JSON.parse(body)) }
  requests.push({ path: url.pathname, parameters, headers: request.headers })
  const fault = faults.shift()
  if (fault) return fault(response)
  const send = (status: number, value: unknown) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  const nothing = parameters.q === 'nothing'
  switch (url.pathname) {
    case '/serper':
      if (request.headers['x-api-key'] !== keys.serper)
        return send(403, { message: 'Unauthorized.', statusCode: 403 })
      return send(200, {
        searchParameters: { q: parameters.q },
        organic: nothing
          ? []
          : [
              { title: 'Bern', link: 'https://bern.example', snippet: 'The federal city.', position: 1 },
              { title: 'Aare', link: 'https://aare.example', position: 2 },
            ],
        ...(parameters.q === 'capital' && { answerBox: { title: 'Capital', answer: 'Bern' } }),
      })
    case '/serpapi':
      if (parameters.api_key !== keys.serpapi) return send(401, { error: 'Invalid API key.' })
      if (nothing) return send(200, { error: "Google hasn't returned any results for this query." })
      if (parameters.q === 'spent') return send(200, { error: 'Your account has run out of searches.' })
      return send(200, {
        organic_results: [{ title: 'Bern', link: 'https://bern.example', snippet: 'The federal city.' }],
      })
    case '/brave':
      if (request.headers['x-subscription-token'] !== keys.brave)
        return send(422, { error: { code: 'SUBSCRIPTION_TOKEN_INVALID' } })
      return send(200, {
        type: 'search',
        ...(!nothing && {
          web: {
            results: [
              {
                title: 'Bern',
                url: 'https://bern.example',
                description: 'The <strong>federal</strong> city &amp; seat of &#x27;it&#x27;.',
              },
            ],
          },
        }),
      })
    default:
      return send(404, {})
  }
}

const tool = (provider: WebSearchProvider, options: Partial<WebSearchOptions> = {}) =>
  webSearchTool({ provider, url: `${base}/${provider}`, cache, minimumDelay: 1, ...options })

const call = (search: ReturnType<typeof tool>, query: string, signal = new AbortController().signal) =>
  runToolCall(
    { kind: 'call', name: search.name, arguments: { query } },
    {
      tools: [search],
      toolTimeout: 60_000,
      toolConcurrency: 64,
      maxObservationCharacters: 2000,
      rolloutId: 'r',
      rolloutEnded: new AbortController().signal,
      signal,
    },
  )

const status =
  (code: number, headers: Record<string, string> = {}): Fault =>
  (response) =>
    void response.writeHead(code, headers).end('{"message": "no"}')

describe.each(providers)('web search through %s', (provider) => {
  it('asks and answers', async () => {
    const { outcome, observation } = await call(
      tool(provider, { results: 3, country: 'ch', language: 'de' }),
      'seat of government',
    )
    expect(outcome).toBe('ok')
    expect(observation).toMatch(/^\[1\] Bern\nhttps:\/\/bern\.example\nThe federal city/)
    expect(observation).not.toMatch(/<|&amp;/)
    expect(requests[0]?.parameters.q).toBe('seat of government')
    expect(Object.values(requests[0]?.parameters ?? {}).map(String)).toEqual(
      expect.arrayContaining(['3', 'ch', 'de']),
    )
  })

  it('finds nothing', async () => {
    expect(await call(tool(provider), 'nothing')).toMatchObject({
      outcome: 'ok',
      observation: 'No results for "nothing".',
    })
  })

  it('with a wrong key says so at once', async () => {
    const { outcome, observation } = await call(tool(provider, { apiKey: 'wrong-key-0123' }), 'a')
    expect(outcome).toBe('error')
    expect(observation).toMatch(/HTTP 4\d\d/)
    expect(requests).toHaveLength(1)
  })

  it('without a key is refused, naming the variable', () => {
    vi.stubEnv(variables[provider], '')
    expect(() => tool(provider)).toThrow(`set the environment variable ${variables[provider]}`)
  })
})

describe('answers', () => {
  it('are kept in a folder, found nothing included, without the key', async () => {
    for (const query of ['a', 'nothing']) {
      const first = await call(tool('serper'), query)
      expect(await call(tool('serper'), query)).toMatchObject({
        outcome: 'ok',
        observation: first.observation,
      })
    }
    expect(requests).toHaveLength(2)
    const files = readdirSync(cache, { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith('.json'),
    )
    expect(files).toHaveLength(2)
    for (const file of files) expect(readFileSync(join(cache, file), 'utf8')).not.toContain(keys.serper)
  })

  it('are asked for anew: for other options, when they are old, when they are damaged, where there is no cache', async () => {
    await call(tool('serper'), 'a')
    await call(tool('serper', { results: 2 }), 'a')
    await call(tool('brave'), 'a')
    expect(requests).toHaveLength(3)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await call(tool('serper', { cacheMaxAge: 10 }), 'a')
    expect(requests).toHaveLength(4)
    for (const file of readdirSync(cache, { recursive: true, encoding: 'utf8' })) {
      if (file.endsWith('.json')) writeFileSync(join(cache, file), '{"resu')
    }
    expect(await call(tool('serper'), 'a')).toMatchObject({ outcome: 'ok' })
    expect(requests).toHaveLength(5)
    await call(tool('serper', { cache: false }), 'a')
    expect(requests).toHaveLength(6)
  })

  it('are asked for once by rollouts that ask at once; one that is stopped stops no other', async () => {
    const search = tool('serper')
    const stopped = new AbortController()
    const calls = [call(search, 'a', stopped.signal), ...Array.from({ length: 15 }, () => call(search, 'a'))]
    stopped.abort()
    const outcomes = (await Promise.all(calls)).map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['error', ...Array(15).fill('ok')])
    expect(requests).toHaveLength(1)
  })

  it("begin with the service's own", async () => {
    expect((await call(tool('serper'), 'capital')).observation).toMatch(/^Answer: Bern\n\n\[1\] Bern/)
  })

  it('that are errors are not kept', async () => {
    const { outcome, observation } = await call(tool('serpapi'), 'spent')
    expect({ outcome, observation }).toEqual({
      outcome: 'error',
      observation: 'web_search failed: Your account has run out of searches.',
    })
    expect(readdirSync(cache)).toEqual([])
  })
})

describe('a service in trouble', () => {
  it.each<[string, Fault]>([
    ['500', status(500)],
    ['503', status(503)],
    ['429', status(429)],
    ['a broken connection', (response) => void response.destroy()],
    [
      'half an answer',
      (response) =>
        void response.writeHead(200, { 'content-length': '100' }).write('{"org', () => response.destroy()),
    ],
    ['no JSON', (response) => void response.end('<html>')],
    ['no results where they belong', (response) => void response.end('{}')],
    ['silence', () => {}],
  ])('%s twice, then an answer', async (name, fault) => {
    faults = [fault, fault]
    // Long enough for a request to come, and its answer to arrive, on a busy machine.
    const search = tool('serper', name === 'silence' ? { timeout: 1500 } : {})
    expect(await call(search, 'a')).toMatchObject({ outcome: 'ok' })
    expect(requests).toHaveLength(3)
  })

  it('waits as long as it is asked to', async () => {
    faults = [status(429, { 'retry-after': '1' })]
    const start = performance.now()
    expect(await call(tool('brave'), 'a')).toMatchObject({ outcome: 'ok' })
    expect(performance.now() - start).toBeGreaterThanOrEqual(990)
  })

  it('for good: an observation, after as many attempts as it may', async () => {
    faults = Array(10).fill(status(500))
    const { outcome, observation } = await call(tool('serper', { retries: 2 }), 'a')
    expect(outcome).toBe('error')
    expect(observation).toMatch(/^web_search failed: HTTP 500: .*\(after 3 attempts\)$/)
    expect(requests).toHaveLength(3)
  })

  it('never sees more requests at once than it may', async () => {
    let [open, most] = [0, 0]
    // Requests are answered a moment after the third has arrived: three must arrive, and a fourth would have had the time to.
    const three = new Promise<void>((resolve) => {
      const slow: Fault = (response) => {
        most = Math.max(most, ++open)
        if (open === 3) setTimeout(resolve, 50)
        void three.then(() => {
          open--
          response.end('{"organic": []}')
        })
      }
      faults = Array(20).fill(slow)
    })
    const search = tool('serper', { concurrency: 3 })
    await Promise.all(Array.from({ length: 20 }, (_, number) => call(search, `query ${number}`)))
    expect(most).toBe(3)
  })
})

describe('options', () => {
  it('the key is known as a secret from then on', () => {
    tool('serper', { apiKey: 'an-unusual-value' })
    expect(redact('it is an-unusual-value')).toBe('it is [redacted]')
  })

  it('images are refused for as long as no policy sees them', () => {
    expect(() => webSearchTool({ provider: 'serper', kind: 'images' })).toThrow(
      /^kind: 'images' .*policies read text only/,
    )
  })

  refuses(webSearchTool, [
    [{ provider: 'bing' }, "webSearchTool.provider: must be one of serper, serpapi, brave, got 'bing'"],
    [{ provider: 'serper', kind: 'video' }, "webSearchTool.kind: must be one of web, images, got 'video'"],
    [
      { provider: 'serper', results: 0 },
      'webSearchTool.results: must be a whole number from 1 to 100, got 0',
    ],
    [
      { provider: 'serper', timeout: '1' },
      "webSearchTool.timeout: must be a number greater than 0 and at most 2147483647, got '1'",
    ],
    [
      { provider: 'serper', retries: -1 },
      'webSearchTool.retries: must be a whole number of at least 0, got -1',
    ],
    [{ provider: 'serper', cache: true }, 'webSearchTool.cache: must be text or false, got true'],
    [{ provider: 'serper', apiKey: 5 }, 'webSearchTool.apiKey: must be text, got a number'],
    [
      { provider: 'serper', apikey: 'a-secret' },
      'webSearchTool.apikey: must be left out (there is no such option; did you mean apiKey?), got 8 characters',
    ],
  ])
})
