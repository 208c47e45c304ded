// A node:http server for a listener; it refuses what a server without a token must not answer.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { port, text } from '../core/option-kinds.js'
import type { OptionsOf, ResolvedOptions } from '../core/options.js'
import { systemError } from '../core/system-error.js'
import { ApiError } from './api-error.js'
import { isLoopback } from './loopback.js'
import type { RequestListener } from './node-listener.js'

export const listenShape = {
  /** The port; 0 takes any free one. Default 0. */
  port: port.default(0),
  /** The address to listen on; any other than loopback needs the server to have a token. Default '127.0.0.1'. */
  host: text.default('127.0.0.1'),
}
export const listenOptions = z.strictObject(listenShape)
export interface ListenOptions extends OptionsOf<typeof listenShape> {}

export interface Listening {
  url: string
  close(): Promise<void>
}

// The longest that a client may take to send its headers; a slower one would hold a connection.
const headersTimeout = 5_000
const requestTimeout = 30_000
const maxConnections = 4096

export async function listen(
  listener: RequestListener,
  { port, host }: ResolvedOptions<typeof listenShape>,
  hasToken: boolean,
): Promise<Listening> {
  if (!isLoopback(host) && !hasToken) {
    throw new HdpoError(
      'ERR_TOKEN_NEEDED',
      `host ${host} can be reached from other machines, which needs a token; without one only 127.0.0.1, ::1 and localhost are allowed`,
    )
  }
  const guarded = hasToken ? listener : onlyForLoopback(listener)
  const server = createServer(
    { headersTimeout, requestTimeout, connectionsCheckingInterval: 1000, maxHeaderSize: 16 * 1024 },
    guarded,
  )
  server.maxConnections = maxConnections
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(systemError(`cannot listen on ${host}:${port}`, error)))
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
  return { url: urlOf(server, host), close: () => close(server) }
}

/**
 * Without a token, anyone who reaches the port may ask. Pages in this machine's browser must not, even where their host name
 * resolves to 127.0.0.1 (DNS rebinding), so the Host header has to name loopback.
 */
function onlyForLoopback(listener: RequestListener): RequestListener {
  return (request: IncomingMessage, response: ServerResponse) => {
    const name = (request.headers.host ?? '').replace(/:\d+$/, '')
    if (isLoopback(name.replace(/^\[|\]$/g, ''))) {
      listener(request, response)
      return
    }
    const error = new ApiError(403, `host ${JSON.stringify(name)} is not this machine's loopback`)
    response.writeHead(403, { 'content-type': 'application/json', connection: 'close' })
    response.end(JSON.stringify(error.toJSON()))
  }
}

function urlOf(server: Server, host: string): string {
  const { address, port, family } = server.address() as AddressInfo
  const name = host === 'localhost' ? host : family === 'IPv6' ? `[${address}]` : address
  return `http://${name}:${port}`
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()))
    server.closeAllConnections()
  })
}
