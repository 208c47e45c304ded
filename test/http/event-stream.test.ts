import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import compression from 'compression'
import express from 'express'
import { afterEach, expect, it } from 'vitest'
import { eventStream } from '../../lib/http/event-stream.js'
import { type FetchHandler, nodeListener } from '../../lib/http/node-listener.js'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** The handler behind express with compression, as many hosts have it. */
async function behindCompression(handler: FetchHandler): Promise<string> {
  const listener = nodeListener(handler, (error) => expect.unreachable(String(error)))
  const listening = express()
    .use(compression({ threshold: 0 }))
    .use(listener)
    .listen(0, '127.0.0.1')
  server = listening
  await once(listening, 'listening')
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}/`
}

/** A stream that is written from outside. */
function events() {
  const encoder = new TextEncoder()
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const state = { cancelled: undefined as unknown }
  const stream = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given
    },
    cancel(reason) {
      state.cancelled = reason
    },
  })
  return {
    stream,
    state,
    send: (data: string) => controller.enqueue(encoder.encode(`data: ${data}\n\n`)),
    close: () => controller.close(),
    fail: (error: Error) => controller.error(error),
  }
}

const decode = (value: Uint8Array | undefined) => new TextDecoder().decode(value)

it('says that it has begun, and brings each event when it is sent, behind compression', async () => {
  const source = events()
  const url = await behindCompression(async () => eventStream(source.stream))
  const response = await fetch(url, { headers: { 'accept-encoding': 'gzip, br' } })
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  })
  expect(response.headers.get('content-encoding')).toBeNull()
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  for (const data of ['one', 'two', 'three']) {
    source.send(data)
    expect(decode((await reader.read()).value)).toBe(`data: ${data}\n\n`)
  }
  source.close()
  expect((await reader.read()).done).toBe(true)
})

it('leaves other answers to compression', async () => {
  const url = await behindCompression(async () => Response.json({ text: 'a'.repeat(2000) }))
  const response = await fetch(url, { headers: { 'accept-encoding': 'gzip' } })
  expect(response.headers.get('content-encoding')).toBe('gzip')
  expect(await response.json()).toEqual({ text: 'a'.repeat(2000) })
})

it('sends comments while there is nothing to say', async () => {
  const source = events()
  const reader = (eventStream(source.stream, 20).body as ReadableStream<Uint8Array>).getReader()
  expect(decode((await reader.read()).value)).toBe(':\n\n')
  expect(decode((await reader.read()).value)).toBe(':\n\n')
  source.send('late')
  let said = decode((await reader.read()).value)
  while (said === ':\n\n') said = decode((await reader.read()).value)
  expect(said).toBe('data: late\n\n')
  await reader.cancel('enough')
  expect(source.state.cancelled).toBe('enough')
})

it('passes on how the events end', async () => {
  const source = events()
  const reader = (eventStream(source.stream, 5).body as ReadableStream<Uint8Array>).getReader()
  source.fail(new Error('the policy broke'))
  await expect(reader.read()).rejects.toThrow('the policy broke')
})

it('sends nothing more to a client that does not read', async () => {
  const source = events()
  const response = eventStream(source.stream, 5)
  await new Promise((resolve) => setTimeout(resolve, 100))
  source.close()
  expect(await response.text()).toBe(':\n\n')
})
