// The server as any client on the network sees it.
import { once } from 'node:events'
import { createServer as createHttpServer, request as httpRequest } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import compression from 'compression'
import express from 'express'
import fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { createServer } from '../../lib/server/create-server.js'
import { ask, lookupTool, post, serve } from './conversations.js'
import { ServedPolicy } from './served-policy.js'

const token = 'a-token-of-enough-length'
const hello = () => 'hello<|end|>'

/** A script that says nothing until it is released, and knows how many wait. */
function gate() {
  let release = () => {}
  const opened = new Promise<void>((resolve) => {
    release = resolve
  })
  const state = { waiting: 0, release: () => release() }
  const script = async () => {
    state.waiting++
    await opened
    return 'late<|end|>'
  }
  return { state, script }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('authorization', () => {
  it('needs the token where there is one', async () => {
    const { url } = await serve(hello, { token })
    const completions = `${url}/v1/chat/completions`
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: token }]) {
      const {
        status,
        json,
        headers: answered,
      } = await post(completions, ask('?'), headers as Record<string, string>)
      expect(status).toBe(401)
      expect(json.error).toMatchObject({ type: 'authentication_error', code: 'invalid_api_key', param: null })
      expect(answered.get('www-authenticate')).toBe('Bearer')
    }
    const right = await post(completions, ask('?'), { authorization: `Bearer ${token}` })
    expect(right.json.choices[0].message.content).toBe('hello')
    expect((await fetch(`${url}/v1/models`)).status).toBe(401)
    expect((await fetch(`${url}/hdpo/metrics`)).status).toBe(401)
    expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: 'ok' })
  })

  it("lets a rollout's key open that rollout alone, while it lasts", async () => {
    const { url, rollout } = await serve(hello, { token })
    const [one, other] = [rollout({ id: 'one' }), rollout({ id: 'other' })]
    const headers = { authorization: `Bearer ${one.apiKey}` }
    expect((await post(`${url}/v1/chat/completions`, ask('?'), headers)).status).toBe(200)
    const crossed = await post(
      `${url}/v1/chat/completions`,
      ask('?', { metadata: { rollout: 'other' } }),
      headers,
    )
    expect(crossed).toMatchObject({ status: 400, json: { error: { code: 'rollout_conflict' } } })
    expect((await post(`${url}/hdpo/rollouts/other/finish`, { correct: true }, headers)).status).toBe(403)
    expect((await post(`${url}/hdpo/rollouts`, {}, headers)).status).toBe(403)
    await one.finish({ correct: true })
    expect((await post(`${url}/v1/chat/completions`, ask('?'), headers)).status).toBe(401)
    await other.abandon()
  })

  it('listens on loopback alone without a token, and is not for web pages that pretend to be', async () => {
    const server = createServer({ policy: new ServedPolicy(hello) })
    await expect(server.listen({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'ERR_TOKEN_NEEDED' })
    await expect(server.listen({ host: '::' })).rejects.toMatchObject({ code: 'ERR_TOKEN_NEEDED' })
    const { url } = await server.listen()
    const status = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        httpRequest(`${url}/health`, { headers: { host } }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
          .on('error', reject)
          .end()
      })
    expect(await status('evil.example')).toBe(403)
    expect(await status('localhost:1234')).toBe(200)
    expect(await status('[::1]')).toBe(200)
    const form = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(ask('?')) })
    expect(form.status).toBe(415)
    await server.close()
  })

  it('never tells a secret, in errors, warnings or what it records', async () => {
    const recorded: unknown[] = []
    const { url, rollout, warnings } = await serve(
      () => {
        throw new Error('the engine is broken')
      },
      { token, onRollout: (played) => void recorded.push(played) },
    )
    const { apiKey, abandon } = rollout()
    const failed = await post(`${url}/v1/chat/completions`, ask('?'), { authorization: `Bearer ${apiKey}` })
    expect(failed).toMatchObject({ status: 500, json: { error: { type: 'server_error' } } })
    expect(JSON.stringify(failed.json)).not.toContain('broken')
    expect(warnings.join()).toContain('the engine is broken')
    await abandon()
    const everything = JSON.stringify([failed, warnings, recorded])
    expect(everything).not.toContain(token)
    expect(everything).not.toContain(apiKey)
    expect(() => createServer({ policy: new ServedPolicy(hello), token: 'short-secret' })).toThrow(
      'createServer.token: must be text of at least 16 characters, got 12 characters',
    )
  })
})

describe('requests that are refused', () => {
  it.each([
    [{ messages: [] }, 'messages', undefined],
    [{ messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role', undefined],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'messages[0].content[0].type',
      undefined,
    ],
    [
      { messages: [{ role: 'tool', content: 'x', tool_call_id: 'y' }] },
      'messages[0].tool_call_id',
      undefined,
    ],
    [{ messages: [{ role: 'user', content: 'x', audio: {} }] }, 'messages[0].audio', undefined],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content', undefined],
    [{ messages: [{ role: 'assistant', content: null }] }, 'messages[0].content', undefined],
    [
      { messages: [{ role: 'assistant', content: 'x', reasoning_content: 7 }] },
      'messages[0].reasoning_content',
      undefined,
    ],
    [{ temperature: 'hot' }, 'temperature', 'invalid_value'],
    [{ top_p: 0 }, 'top_p', 'invalid_value'],
    [{ frequency_penalty: 0.5 }, 'frequency_penalty', 'unsupported_value'],
    [{ top_logprobs: 3 }, 'top_logprobs', 'unsupported_value'],
    [{ response_format: { type: 'json_object' } }, 'response_format.type', 'unsupported_value'],
    [{ reasoning_effort: 'high' }, 'reasoning_effort', 'unsupported_parameter'],
    [{ logit_bias: { abc: 1 } }, 'logit_bias.abc', undefined],
    [{ logit_bias: { 5: 101 } }, 'logit_bias.5', undefined],
    [{ tools: [lookupTool, lookupTool] }, 'tools[1].function.name', undefined],
    [{ tools: [{ type: 'custom' }] }, 'tools[0].type', 'unsupported_value'],
    [{ tool_choice: 'required' }, 'tool_choice', undefined],
    [
      { tools: [lookupTool], tool_choice: { type: 'function', function: { name: 'x' } } },
      'tool_choice.function.name',
      undefined,
    ],
  ])('%j by its name', async (more, param, code) => {
    const { url, policy } = await serve(hello)
    const { status, json } = await post(`${url}/v1/chat/completions`, ask('?', more))
    expect(status).toBe(400)
    expect(json.error).toMatchObject({ param, type: 'invalid_request_error', code: code ?? null })
    expect(json.error.message.startsWith(`${param}: `)).toBe(true)
    expect(policy.samplings).toHaveLength(0)
  })

  it('for what is not there, the wrong method, and other models', async () => {
    const { url } = await serve(hello)
    expect((await fetch(`${url}/v1/embeddings`)).status).toBe(404)
    expect((await fetch(`${url}/v1/chat/completions`)).status).toBe(405)
    const other = await post(`${url}/v1/chat/completions`, { ...ask('?'), model: 'gpt-5' })
    expect(other).toMatchObject({ status: 404, json: { error: { code: 'model_not_found', param: 'model' } } })
    const unknown = await post(`${url}/v1/chat/completions`, ask('?'), { 'x-hdpo-rollout': 'nobody' })
    expect(unknown).toMatchObject({ status: 404, json: { error: { code: 'rollout_not_found' } } })
    expect((await post(`${url}/v1/chat/completions`, '{"model": ')).json.error.message).toMatch(
      /^the body is not JSON/,
    )
  })

  it('for a body that is too large, declared or not, without reading on', async () => {
    const { url } = await serve(hello, { maxBodyBytes: 1000 })
    const large = JSON.stringify(ask('x'.repeat(2000)))
    const declared = await post(`${url}/v1/chat/completions`, large)
    expect(declared).toMatchObject({ status: 413, json: { error: { code: 'body_too_large' } } })
    const endless = httpRequest(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    endless.on('error', () => {})
    const answered = once(endless, 'response')
    for (let index = 0; index < 20; index++) endless.write('x'.repeat(100))
    const [response] = await answered
    expect(response.statusCode).toBe(413)
    expect(response.headers.connection).toBe('close')
    endless.destroy()
  })

  it('for a prompt that leaves no room', async () => {
    const { url, policy } = await serve(hello)
    policy.maxTokens = 20
    const { status, json } = await post(`${url}/v1/chat/completions`, ask('a question of many characters'))
    expect(status).toBe(400)
    expect(json.error.code).toBe('context_length_exceeded')
    expect(policy.live).toBe(0)
  })
})

describe('clients that go away', () => {
  it.each([false, true])('end their sample, stream %j, and leave the rollout as it was', async (stream) => {
    const { state, script } = gate()
    const { url, rollout, policy, server } = await serve(async (conversation) =>
      conversation.includes('wait') ? script() : 'quick<|end|>',
    )
    const { apiKey, finish } = rollout()
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
    const first = ask('hello')
    await post(`${url}/v1/chat/completions`, first, headers)
    const messages = [
      ...first.messages,
      { role: 'assistant', content: 'quick' },
      { role: 'user', content: 'wait' },
    ]
    const leaving = new AbortController()
    const broken = fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ...first, messages, stream }),
      signal: leaving.signal,
    })
    await until(() => state.waiting === 1)
    leaving.abort()
    await broken.then((response) => response.text()).catch(() => {})
    await until(() => policy.live === 1)
    expect(policy.samplings.at(-1)?.signal?.aborted).toBe(true)
    state.release()
    const again = await post(`${url}/v1/chat/completions`, { ...first, messages }, headers)
    expect(again.json.choices[0].message.content).toBe('late')
    const played = await finish({ correct: true })
    expect(played.turns).toBe(2)
    expect(played.moreSequences).toBeUndefined()
    expect(server.metrics()).toMatchObject({ discardedTurns: 1, segments: 1 })
  })

  it('cannot hold a connection by sending headers drop by drop', async () => {
    const { url } = await serve(hello)
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n')
    const drops = setInterval(() => socket.write('x-drop: 1\r\n'), 500)
    const started = performance.now()
    socket.resume()
    socket.on('error', () => {})
    await once(socket, 'close')
    clearInterval(drops)
    // It ends after 5 s and the time a busy machine takes; by Node's own limits it would take 60 s.
    expect(performance.now() - started).toBeLessThan(50_000)
  })
})

describe('the life of a rollout', () => {
  it('over HTTP: start, ask by header or metadata, finish', async () => {
    const recorded: string[] = []
    const { url, server } = await serve(hello, { onRollout: ({ id }) => void recorded.push(id) })
    const started = await post(`${url}/hdpo/rollouts`, {
      id: 'r1',
      task: 't1',
      metadata: { level: 2 },
      maxTurnTokens: 3,
    })
    expect(started).toMatchObject({ status: 201, json: { id: 'r1', task: 't1', baseURL: `${url}/v1` } })
    expect((await post(`${url}/hdpo/rollouts`, { id: 'r1' })).json.error.code).toBe('rollout_exists')
    const byHeader = await post(`${url}/v1/chat/completions`, ask('?'), { 'x-hdpo-rollout': 'r1' })
    expect(byHeader.json.choices[0].message.content).toBe('hel')
    await post(`${url}/v1/chat/completions`, ask('!', { metadata: { rollout: 'r1' } }))
    const wrong = await post(`${url}/hdpo/rollouts/r1/finish`, { correct: 'yes' })
    expect(wrong).toMatchObject({
      status: 400,
      json: { error: { message: "outcome.correct: must be true or false, got 'yes'" } },
    })
    expect((await post(`${url}/hdpo/rollouts/r1/finish`, {})).status).toBe(400)
    const contradiction = await post(`${url}/hdpo/rollouts/r1/finish`, { correct: true, reward: 0.4 })
    expect(contradiction.json.error.message).toContain('got 0.4')
    const finished = await post(`${url}/hdpo/rollouts/r1/finish`, { correct: true, reward: 1 })
    expect(finished.json).toEqual({
      id: 'r1',
      task: 't1',
      toolCalls: 0,
      turns: 2,
      segments: 2,
      sampledTokens: 6,
      end: 'tokens',
    })
    expect(recorded).toEqual(['r1'])
    const late = await post(`${url}/v1/chat/completions`, ask('?'), { 'x-hdpo-rollout': 'r1' })
    expect(late).toMatchObject({ status: 409, json: { error: { code: 'rollout_ended' } } })
    expect(server.metrics()).toMatchObject({ liveRollouts: 0, finishedRollouts: 1, splitRollouts: 1 })
  })

  it('ends without a completion as an error, not as an empty rollout', async () => {
    const { url, rollout } = await serve(hello)
    await expect(rollout().finish({ correct: true })).rejects.toMatchObject({ code: 'ERR_NO_COMPLETION' })
    await post(`${url}/hdpo/rollouts`, { id: 'r' })
    expect((await post(`${url}/hdpo/rollouts/r/finish`, { correct: true })).json.error.code).toBe(
      'ERR_NO_COMPLETION',
    )
  })

  it('breaks off what is being sampled', async () => {
    const { script, state } = gate()
    const { url, rollout } = await serve(script)
    const { apiKey, abandon } = rollout()
    const waiting = post(`${url}/v1/chat/completions`, ask('?'), { authorization: `Bearer ${apiKey}` })
    await until(() => state.waiting === 1)
    expect(await abandon()).toBeUndefined()
    expect(await waiting).toMatchObject({ status: 409, json: { error: { code: 'rollout_ended' } } })
  })

  it('is given up when its agent falls silent, never while it waits for the policy', async () => {
    // Long enough for a request to come on a busy machine.
    const idleTimeout = 1500
    const { script, state } = gate()
    const ends: string[] = []
    const { url, rollout, server, warnings, policy } = await serve(
      async (conversation) => (conversation.includes('wait') ? script() : 'quick<|end|>'),
      { idleTimeout, onRollout: ({ end }) => void ends.push(end) },
    )
    const { apiKey, signal } = rollout({ id: 'silent' })
    const headers = { authorization: `Bearer ${apiKey}` }
    const waiting = post(`${url}/v1/chat/completions`, ask('wait'), headers)
    await until(() => state.waiting === 1)
    await new Promise((resolve) => setTimeout(resolve, idleTimeout + 500))
    expect(signal.aborted).toBe(false)
    state.release()
    expect((await waiting).status).toBe(200)
    await until(() => ends.length === 1)
    expect(signal.aborted).toBe(true)
    expect(ends).toEqual(['aborted'])
    expect(warnings).toEqual(['rollout "silent" was given up: no request for 1.5 s'])
    expect(server.metrics()).toMatchObject({ liveRollouts: 0, idleRollouts: 1, abandonedRollouts: 1 })
    expect(policy.live).toBe(1)
  })

  it('is one of maxRollouts at most', async () => {
    const { url, rollout } = await serve(hello, { maxRollouts: 2 })
    const first = rollout()
    rollout()
    expect(() => rollout()).toThrow('2 rollouts are under way')
    expect(await post(`${url}/hdpo/rollouts`, {})).toMatchObject({
      status: 429,
      json: { error: { code: 'too_many_rollouts' } },
    })
    await first.abandon()
    rollout()
  })

  it('ends with the server, which frees what the engine holds', async () => {
    const { script, state } = gate()
    const policy = new ServedPolicy(script)
    const closing = new AbortController()
    const server = createServer({ policy, signal: closing.signal })
    const { url } = await server.listen()
    const { apiKey, signal } = server.startRollout({ task: { id: 't' } })
    const waiting = post(`${url}/v1/chat/completions`, ask('?'), { authorization: `Bearer ${apiKey}` }).catch(
      () => 'cut',
    )
    await until(() => state.waiting === 1)
    closing.abort()
    await server.close()
    await waiting
    expect(signal.aborted).toBe(true)
    expect(policy.live).toBe(0)
    expect(() => server.startRollout({ task: { id: 't' } })).toThrow('closed')
  })
})

describe('embedded', () => {
  const closers: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })
  const embedded = () => {
    const server = createServer({ policy: new ServedPolicy(hello), baseURL: 'http://127.0.0.1:1/v1' })
    closers.push(() => server.close())
    return server
  }
  const says = async (url: string) => {
    const whole = await post(`${url}/v1/chat/completions`, ask('?'))
    const streamed = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(ask('?', { stream: true })),
    })
    expect(Object.fromEntries(streamed.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
    expect(await streamed.text()).toMatch(/data: \[DONE\]\n\n$/)
    return whole.json.choices[0].message.content
  }

  it('behind compression, which holds no piece of a stream back', async () => {
    const { state, script } = gate()
    const server = createServer({ policy: new ServedPolicy(script), baseURL: 'http://127.0.0.1:1/v1' })
    closers.push(() => server.close())
    const host = express().use(compression()).use(server.requestListener).listen(0, '127.0.0.1')
    closers.push(() => host.close())
    await once(host, 'listening')
    const response = await fetch(
      `http://127.0.0.1:${(host.address() as AddressInfo).port}/v1/chat/completions`,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(ask('?', { stream: true })),
      },
    )
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    // The policy says nothing before this has arrived.
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('"role":"assistant"')
    state.release()
    let rest = ''
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      rest += new TextDecoder().decode(read.value)
    }
    expect(rest).toMatch(/"content":"ate".*data: \[DONE\]\n\n$/s)
  })

  it('in a plain http server', async () => {
    const host = createHttpServer(embedded().requestListener).listen(0, '127.0.0.1')
    closers.push(() => host.close())
    await once(host, 'listening')
    expect(await says(`http://127.0.0.1:${(host.address() as AddressInfo).port}`)).toBe('hello')
  })

  it.each([true, false])('in express, with its body parser %j', async (parsesBodies) => {
    const app = express()
    if (parsesBodies) app.use(express.json())
    app.use('/llm', embedded().requestListener)
    const host = app.listen(0, '127.0.0.1')
    closers.push(() => host.close())
    await once(host, 'listening')
    expect(await says(`http://127.0.0.1:${(host.address() as AddressInfo).port}/llm`)).toBe('hello')
  })

  it('in fastify', async () => {
    const app = fastify()
    const { requestListener } = embedded()
    app.register(async (scope) => {
      // The server reads bodies itself.
      scope.removeAllContentTypeParsers()
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
      scope.all('/v1/*', (request, reply) => {
        reply.hijack()
        requestListener(request.raw, reply.raw)
      })
    })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    closers.push(() => app.close())
    expect(await says(url)).toBe('hello')
  })

  it('as a web handler', async () => {
    const server = embedded()
    const response = await server.fetchHandler(
      new Request('http://anywhere/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(ask('?')),
      }),
    )
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'hello' } }] })
    expect(server.startRollout({ task: { id: 't' } }).baseURL).toBe('http://127.0.0.1:1/v1')
  })
})
