// Makes the web handler a listener of node:http, as plain servers, express and fastify take it.

import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { ApiError, apiErrorResponse } from './api-error.js'
import { isEventStream } from './event-stream.js'

export type RequestListener = (request: IncomingMessage, response: ServerResponse) => void

/** `onError` gets errors that could not be sent as a response; the connection is then closed. */
export function nodeListener(handler: FetchHandler, onError: (error: unknown) => void): RequestListener {
  return (incoming, outgoing) => {
    const left = new AbortController()
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) left.abort(new Error('the client went away'))
    })
    respond(handler, incoming, outgoing, left.signal).catch((error: unknown) => {
      if (!left.signal.aborted) onError(error)
      outgoing.destroy()
    })
  }
}

async function respond(
  handler: FetchHandler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const response = await answerTo(handler, incoming, signal)
  if (signal.aborted) {
    await response.body?.cancel()
    return
  }
  // The unread rest of a refused body would be read as the next request.
  if (!incoming.complete) outgoing.setHeader('connection', 'close')
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  // A stream may have nothing to say for a while, and its client shall know that it has begun.
  if (isEventStream(response)) outgoing.flushHeaders()
  if (response.body) await write(response.body, outgoing, signal)
  outgoing.end()
}

async function answerTo(
  handler: FetchHandler,
  incoming: IncomingMessage,
  signal: AbortSignal,
): Promise<Response> {
  let request: Request
  try {
    request = toRequest(incoming, signal)
  } catch (error) {
    return apiErrorResponse(refusalOf(incoming, error))
  }
  return handler(request)
}

/** What node:http lets through and a Request cannot hold: an address that is no URL, methods that the web's fetch forbids. */
function refusalOf({ method = '', url = '', headers }: IncomingMessage, error: unknown): ApiError {
  if (!(error instanceof TypeError)) throw error
  if (forbiddenMethods.has(method)) {
    return new ApiError(405, `there is no ${method} here`, { headers: { allow: 'GET, HEAD, POST' } })
  }
  const address = JSON.stringify(`${headers.host ?? ''}${url}`.slice(0, 200))
  return new ApiError(400, `the Host header and the path make no address: ${address}`)
}

const forbiddenMethods = new Set(['CONNECT', 'TRACE', 'TRACK'])

async function write(
  body: ReadableStream<Uint8Array>,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const reader = body.getReader()
  const cancel = () => void reader.cancel(signal.reason)
  signal.addEventListener('abort', cancel, { once: true })
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      if (!outgoing.write(value)) await once(outgoing, 'drain', { signal })
    }
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

function toRequest(
  incoming: IncomingMessage & { body?: unknown; originalUrl?: string },
  signal: AbortSignal,
): Request {
  const { method = 'GET' } = incoming
  const hasBody = method !== 'GET' && method !== 'HEAD'
  return new Request(toUrl(incoming), {
    method,
    headers: toHeaders(incoming),
    signal,
    ...(hasBody && { body: bodyOf(incoming), duplex: 'half' }),
  } as RequestInit)
}

/** A path that begins with two slashes is a path, not the name of a host. */
function toUrl({ url = '/', headers: { host = 'localhost' } }: IncomingMessage): URL {
  return url.startsWith('/') ? new URL(`http://${host}${url}`) : new URL(url, `http://${host}`)
}

/** The body of a request. A host with a body parser (express.json(), express.raw()) has already read it. */
function bodyOf(incoming: IncomingMessage & { body?: unknown }): ReadableStream | string | Uint8Array {
  const { body } = incoming
  if (body === undefined || !incoming.readableEnded) return Readable.toWeb(incoming) as ReadableStream
  return typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
}

function toHeaders({ headersDistinct }: IncomingMessage): Headers {
  const headers = new Headers()
  for (const [name, values] of Object.entries(headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  return headers
}

export type FetchHandler = (request: Request) => Promise<Response>
