// The fetch that all requests of hdpo are made with. Node's own gives a server up that sends nothing for 300 s, whatever time-out
// was asked for. This one waits as long as the caller's signal lets it.
import type { Dispatcher } from 'undici'
import { isLoopback } from './loopback.js'

/** 0: no limit. The time that a connection may take to be opened keeps undici's limit of 10 s. */
export const noTimeouts = { headersTimeout: 0, bodyTimeout: 0 }

const proxyVariables = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY']

interface Client {
  fetch: typeof import('undici').fetch
  direct: Dispatcher
  /** Follows HTTP_PROXY, HTTPS_PROXY and NO_PROXY. The same as `direct` where no proxy is set. */
  proxied: Dispatcher
}

let client: Promise<Client> | undefined

/**
 * fetch without a time-out of its own: `init.signal` ends a request. Proxies of the environment are used, except for loopback.
 * Connections are shared by all callers, and idle ones do not keep the process alive.
 */
export async function patientFetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
  client ??= load()
  const { fetch, direct, proxied } = await client
  const { hostname } = new URL(url)
  const dispatcher = isLoopback(hostname.replace(/^\[|\]$/g, '')) ? direct : proxied
  // The types of undici's requests and responses differ from Node's, which are made from another version of it.
  const response = await fetch(url, { ...init, dispatcher } as Parameters<typeof fetch>[1])
  return response as unknown as Response
}

// Loading takes some 100 ms, which a command that makes no request need not wait for.
async function load(): Promise<Client> {
  const { Agent, EnvHttpProxyAgent, fetch } = await import('undici')
  const direct = new Agent(noTimeouts)
  const hasProxy = proxyVariables.some((name) => process.env[name])
  return { fetch, direct, proxied: hasProxy ? new EnvHttpProxyAgent(noTimeouts) : direct }
}
