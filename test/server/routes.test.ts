// What a client is told that asks for the wrong thing, or in the wrong way.
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../lib/server/create-server.js'
import { ask, lookupTool, post, serve } from './conversations.js'
import { ServedPolicy } from './served-policy.js'

const hello = () => 'hello<|end|>'
const token = 'a-token-of-enough-length'

/** A request with exactly this path and these headers. */
async function raw(url: string, path: string, method = 'GET', headers: Record<string, string> = {}) {
  const { hostname, port } = new URL(url)
  const request = httpRequest({ hostname, port, path, method, headers })
  request.end()
  const [response] = await once(request, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return { status: response.statusCode, headers: response.headers, text, json: text && JSON.parse(text) }
}

describe('methods', () => {
  it.each(['/health', '/v1/models', '/v1/models/policy', '/hdpo/metrics'])(
    'HEAD %s is GET without a body',
    async (path) => {
      const { url } = await serve(hello)
      const [head, get] = await Promise.all([fetch(url + path, { method: 'HEAD' }), fetch(url + path)])
      expect(head.status).toBe(200)
      expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'))
      expect(await head.text()).toBe('')
    },
  )

  it.each([
    ['POST', '/health', 'GET, HEAD'],
    ['DELETE', '/v1/models', 'GET, HEAD'],
    ['HEAD', '/v1/chat/completions', 'POST'],
    ['OPTIONS', '/v1/chat/completions', 'POST'],
    ['PUT', '/hdpo/rollouts', 'POST'],
    ['TRACE', '/health', 'GET, HEAD, POST'],
  ])('%s %s is refused with what is allowed', async (method, path, allow) => {
    const { url } = await serve(hello)
    const answer = await raw(url, path, method)
    expect(answer.status).toBe(405)
    expect(answer.headers.allow).toBe(allow)
    if (method !== 'HEAD') expect(answer.json.error.type).toBe('invalid_request_error')
  })
})

describe('addresses', () => {
  it.each([
    ['/v1/responses', /belongs to the Responses API.*; ask POST \/v1\/chat\/completions$/],
    ['/v1/completions', /^there is no \/v1\/completions here: .*; ask POST \/v1\/chat\/completions$/],
    ['/v1/embeddings', /a part of OpenAI's API that this server does not have/],
    ['/v1/messages', /Anthropic's API/],
    ['/v1/assistants/a/files', /a part of OpenAI's API/],
    ['/chat/completions', /the base URL of clients ends in \/v1, once; ask POST \/v1\/chat\/completions$/],
    ['/v1/v1/chat/completions', /the base URL of clients ends in \/v1, once/],
    ['/v1/chat/completions/', /and the path in no slash/],
    ['/v1/constructor', /^there is no \/v1\/constructor here; ask POST/],
    ['/', /^there is no \/ here; ask POST/],
  ])('%s says where to go', async (path, message) => {
    const { url } = await serve(hello)
    const { status, json } = await post(url + path, ask('?'))
    expect(status).toBe(404)
    expect(json.error).toMatchObject({ type: 'not_found_error', code: 'unknown_url', param: null })
    expect(json.error.message).toMatch(message)
  })

  it.each(['/v1/models/%E0%A4%A', '/hdpo/rollouts/%/finish'])('%s is no UTF-8', async (path) => {
    const { url } = await serve(hello)
    const { status, json } = await raw(url, path, path.endsWith('finish') ? 'POST' : 'GET')
    expect(status).toBe(400)
    expect(json.error).toMatchObject({ param: 'path', type: 'invalid_request_error' })
    expect(json.error.message).toMatch(/^path: ".*" is no percent-encoded UTF-8$/)
  })

  it.each([
    ['//health', {}, 404],
    ['//evil.example/health', {}, 404],
    ['/health', { host: 'localhost:99999' }, 400],
    ['/health', { host: 'LOCALHOST' }, 200],
    ['/health', { host: 'me@localhost' }, 403],
    ['http://localhost/health', {}, 200],
    ['*', {}, 404],
  ])('%s with %j', async (path, headers, status) => {
    const { url, warnings } = await serve(hello)
    expect(await raw(url, path, 'GET', headers)).toMatchObject({ status })
    expect(warnings).toEqual([])
  })
})

describe('bodies', () => {
  it.each([
    [{ 'content-type': 'application/json-patch+json' }, 415, /^content-type must be application\/json/],
    [{ 'content-type': 'text/plain' }, 415, /^content-type must be application\/json/],
    [{ 'content-type': 'application/json; charset=utf-8' }, 200, undefined],
    [{ 'content-type': 'Application/JSON' }, 200, undefined],
    [{ 'content-encoding': 'gzip' }, 415, /^content-encoding must be left out, got "gzip"/],
    [{ 'content-encoding': 'identity' }, 200, undefined],
  ])('with %j', async (headers: Record<string, string>, status, message) => {
    const { url } = await serve(hello)
    const answer = await post(`${url}/v1/chat/completions`, ask('?'), headers)
    expect(answer.status).toBe(status)
    if (message) expect(answer.json.error.message).toMatch(message)
  })

  it.each([
    ['{"seed": 7301456228930019841}', 'seed', /^seed: 7301456228930019841 is beyond/],
    ['{"tools": [{"x": 1e999}]}', 'tools[0].x', /^tools\[0\]\.x: 1e999 is beyond/],
    [`${'['.repeat(100_000)}`, null, /^the body is nested deeper than 256 levels$/],
    ['nul', null, /^the body is not JSON: /],
    ['', null, /^the body is not JSON: /],
  ])('%.30j', async (body, param, message) => {
    const { url } = await serve(hello)
    const { status, json } = await post(`${url}/v1/chat/completions`, body)
    expect(status).toBe(400)
    expect(json.error.param).toBe(param)
    expect(json.error.message).toMatch(message)
  })

  it.each([
    ['/hdpo/rollouts', { id: '..' }, 'id'],
    ['/hdpo/rollouts', { maxTokens: 0 }, 'maxTokens'],
    ['/hdpo/rollouts', { metadata: 'x' }, 'metadata'],
    ['/hdpo/rollouts', { colour: 'red' }, 'colour'],
    ['/hdpo/rollouts', 'null', 'body'],
    ['/hdpo/rollouts/r/finish', { correct: 'yes' }, 'correct'],
    ['/hdpo/rollouts/r/finish', {}, 'body'],
    ['/v1/chat/completions', ask('?', { logit_bias: { 999999999: 1 } }), 'logit_bias.999999999'],
    ['/v1/chat/completions', ask('?', { top_k: 2 ** 40 }), 'top_k'],
    ['/v1/chat/completions', ask('?', { tools: [{ ...lookupTool, x: 1 }] }), 'tools[0].x'],
  ])('POST %s %j names what is wrong', async (path, body, param) => {
    const { url } = await serve(hello)
    await post(`${url}/hdpo/rollouts`, { id: 'r' })
    const { status, json } = await post(url + path, body)
    expect(status).toBe(400)
    expect(json.error.param).toBe(param)
  })

  it('are quoted in part', async () => {
    const { url } = await serve(hello)
    const { json } = await post(`${url}/v1/chat/completions`, ask('?', { messages: 'x'.repeat(1e6) }))
    expect(json.error.message.length).toBeLessThan(1100)
  })

  it.each(['json', 'text', 'raw'] as const)('that express.%s() has read', async (parser) => {
    const server = createServer({ policy: new ServedPolicy(hello), baseURL: 'http://127.0.0.1:1/v1' })
    const host = express()
      .use(express[parser]({ type: () => true }))
      .use(server.requestListener)
      .listen(0, '127.0.0.1')
    await once(host, 'listening')
    const { port } = host.address() as AddressInfo
    const { json } = await post(`http://127.0.0.1:${port}/v1/chat/completions`, ask('?'))
    expect(json.choices[0].message.content).toBe('hello')
    host.close()
    await server.close()
  })
})

describe('pages of other origins', () => {
  const foreign = [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:1' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:1' },
    { 'sec-fetch-site': 'cross-site', origin: 'http://evil.example' },
  ]
  it.each(foreign)('%j changes nothing, with a body or without', async (headers) => {
    const { url, server } = await serve(hello)
    server.startRollout({ id: 'r', task: { id: 't' } })
    for (const path of [
      '/hdpo/rollouts/r/abandon',
      '/hdpo/rollouts/r/finish',
      '/hdpo/rollouts',
      '/v1/chat/completions',
    ]) {
      expect(await raw(url, path, 'POST', headers)).toMatchObject({ status: 403 })
      const { status, json } = await post(url + path, {}, headers)
      expect(status).toBe(403)
      expect(json.error).toMatchObject({ type: 'permission_error', code: 'foreign_origin' })
    }
    expect(server.metrics()).toMatchObject({ liveRollouts: 1, abandonedRollouts: 0 })
  })

  it('are refused with the token too', async () => {
    const { url, server } = await serve(hello, { token })
    server.startRollout({ id: 'r', task: { id: 't' } })
    const headers = { origin: 'http://evil.example', authorization: `Bearer ${token}` }
    expect((await raw(url, '/hdpo/rollouts/r/abandon', 'POST', headers)).status).toBe(403)
    expect(server.metrics().liveRollouts).toBe(1)
  })

  it('may look, as far as their browser lets them', async () => {
    const { url } = await serve(hello)
    const answer = await raw(url, '/health', 'GET', { origin: 'http://evil.example' })
    expect(answer.status).toBe(200)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  it('are let in where they are allowed; programs and own pages always are', async () => {
    const { url } = await serve(hello, { allowedOrigins: ['https://app.example'] })
    const own: Record<string, string>[] = [
      {},
      { origin: new URL(url).origin },
      { origin: 'https://app.example', 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-origin', origin: 'https://behind-a-proxy.example' },
      { 'sec-fetch-site': 'none' },
    ]
    for (const headers of own) {
      expect((await post(`${url}/v1/chat/completions`, ask('?'), headers)).status).toBe(200)
    }
    const other = await post(`${url}/v1/chat/completions`, ask('?'), { origin: 'https://app.example.evil' })
    expect(other.status).toBe(403)
    expect(() => createServer({ policy: new ServedPolicy(hello), allowedOrigins: ['app.example/'] })).toThrow(
      "createServer.allowedOrigins[0]: must be an origin such as https://app.example, got 'app.example/'",
    )
  })
})
