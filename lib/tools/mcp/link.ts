// A connection to an MCP server that recovers: a server that dies or hangs is restarted or connected to again, with a growing
// pause between attempts, while the calls that need it wait for up to `patience`.
import {
  type CallToolResult,
  Client,
  type Tool as McpTool,
  ProtocolError,
  SdkError,
  SdkErrorCode,
} from '@modelcontextprotocol/client'
import { HdpoError } from '../../core/errors.js'
import { withStopSignal } from '../../core/stop-signal.js'
import { ToolTimeoutError } from '../tool-timeout-error.js'
import { addressName, openTransport } from './address.js'
import type { LinkSettings, McpEndpoint, McpProgram } from './options.js'

const connectTime = 30_000
const pingTime = 5000
const shortestPause = 100
const longestPause = 30_000
// Of a list of tools. Some servers give a few tools a page.
const mostPages = 10_000
const clientInfo = { name: 'hdpo', version: '0.1.0' }

export class McpLink {
  readonly #address: McpProgram | McpEndpoint
  readonly #settings: LinkSettings
  #client: Client | undefined
  #reconnecting: Promise<void> | undefined
  #failure: Error | undefined
  #closed = new AbortController()
  #restarts = 0

  private constructor(address: McpProgram | McpEndpoint, settings: LinkSettings) {
    this.#address = address
    this.#settings = settings
  }

  /** Rejects where the server cannot be reached at the moment. */
  static async open(address: McpProgram | McpEndpoint, settings: LinkSettings): Promise<McpLink> {
    const link = new McpLink(address, settings)
    link.#client = await link.#connect()
    return link
  }

  /** Connections made after the first. */
  get restarts(): number {
    return this.#restarts
  }

  async listTools(): Promise<McpTool[]> {
    const { tools } = await (this.#client as Client).listTools(undefined, { timeout: connectTime })
    return tools
  }

  /** Calls a tool. The rejection's message is written for the policy. */
  async call(tool: McpTool, input: Record<string, unknown>, signal: AbortSignal): Promise<CallToolResult> {
    const client = await this.#connected(signal)
    try {
      return await this.#request(client, tool, input, signal)
    } catch (error) {
      if (signal.aborted || error instanceof ProtocolError) throw error
      if (isTimeout(error)) {
        await this.#restartIfHanging(client)
        throw new ToolTimeoutError(`no answer in ${this.#settings.timeout} ms`, { cause: error })
      }
      if (!isBroken(error)) throw error
      this.#lost(client, error as Error)
      if (!mayRepeat(tool, error)) throw wentAway(error)
    }
    const again = await this.#connected(signal)
    return this.#request(again, tool, input, signal).catch((error: unknown) => {
      throw !signal.aborted && isBroken(error) ? wentAway(error) : error
    })
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the connection to the MCP server was closed'))
    const client = this.#client
    this.#client = undefined
    await client?.close()
  }

  #request(
    client: Client,
    tool: McpTool,
    input: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<CallToolResult> {
    const { timeout } = this.#settings
    return client.callTool({ name: tool.name, arguments: input }, { signal, timeout, toolDefinition: tool })
  }

  async #connect(): Promise<Client> {
    const { transport, complaints } = openTransport(this.#address, this.#settings.maxMessageBytes)
    const client = new Client(clientInfo, { listMaxPages: mostPages })
    try {
      await client.connect(transport, { timeout: connectTime })
    } catch (error) {
      await transport.close()
      const details = complaints()
      throw new HdpoError(
        'ERR_MCP_CONNECT',
        `cannot connect to the MCP server ${addressName(this.#address)}: ${reason(error)}${details && `\n${details}`}`,
        { cause: error },
      )
    }
    client.onclose = () => this.#lost(client, new Error(complaints() || 'it ended'))
    return client
  }

  /** Resolves to the client, once there is one. */
  async #connected(signal: AbortSignal): Promise<Client> {
    if (this.#client) return this.#client
    const impatience = new AbortController()
    // Unlike that of AbortSignal.timeout, this timer keeps the process alive: somebody waits for the call.
    const timer = setTimeout(() => impatience.abort(), this.#settings.patience)
    try {
      return await this.#reconnected(signal, impatience.signal)
    } finally {
      clearTimeout(timer)
    }
  }

  #reconnected(signal: AbortSignal, impatience: AbortSignal): Promise<Client> {
    const closed = this.#closed.signal
    return withStopSignal([signal, closed, impatience], async (give) => {
      while (!this.#client) {
        closed.throwIfAborted()
        await Promise.race([this.#reconnecting, aborted(give)])
        if (this.#client) break
        signal.throwIfAborted()
        if (give.aborted) throw new Error(`the server is down: ${reason(this.#failure)}`)
      }
      return this.#client
    })
  }

  #lost(client: Client, failure: Error): void {
    if (this.#client !== client || this.#closed.signal.aborted) return
    this.#client = undefined
    this.#failure = failure
    // close() kills a process that does not end by itself; its errors tell nothing new about a lost connection.
    void client.close().catch(() => {})
    this.#reconnecting = this.#reconnect()
  }

  /** Tries until it works or the link is closed. Never rejects. */
  async #reconnect(): Promise<void> {
    for (let pause = shortestPause; !this.#closed.signal.aborted; pause = Math.min(pause * 2, longestPause)) {
      await sleep(pause, this.#closed.signal)
      if (this.#closed.signal.aborted) return
      try {
        const client = await this.#connect()
        if (this.#closed.signal.aborted) return void (await client.close())
        this.#client = client
        this.#restarts++
        return
      } catch (error) {
        this.#failure = error as Error
      }
    }
  }

  /** After a time-out: a slow tool is left alone, but a server that does not even answer a ping is replaced. */
  async #restartIfHanging(client: Client): Promise<void> {
    try {
      await client.ping({ timeout: pingTime })
    } catch (error) {
      this.#lost(client, new Error(`it does not answer (${reason(error)})`))
    }
  }
}

function wentAway(error: unknown): Error {
  return new Error(`the server went away during the call: ${reason(error)}`, { cause: error })
}

function isTimeout(error: unknown): boolean {
  return error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout
}

/** Whether the connection failed, not the call: closed, refused, reset, or a session that the server no longer knows. */
function isBroken(error: unknown): boolean {
  if (error instanceof SdkError) {
    if (error.code === SdkErrorCode.ConnectionClosed || error.code === SdkErrorCode.NotConnected) return true
    const status = httpStatus(error)
    return status !== undefined && (status === 404 || status >= 500)
  }
  // fetch throws a TypeError where there is no response.
  return error instanceof TypeError
}

/** Whether the call certainly was not made, or may safely be made twice. */
function mayRepeat({ annotations }: McpTool, error: unknown): boolean {
  if (annotations?.readOnlyHint || annotations?.idempotentHint) return true
  if (error instanceof SdkError) return error.code === SdkErrorCode.NotConnected || httpStatus(error) === 404
  return (error as { cause?: { code?: string } }).cause?.code === 'ECONNREFUSED'
}

function httpStatus(error: SdkError): number | undefined {
  const { data } = error as { data?: { status?: unknown } }
  return typeof data?.status === 'number' ? data.status : undefined
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  return cause instanceof Error && cause.message ? `${error.message}: ${cause.message}` : error.message
}

/** Sleeps until the time or the abort; the timer does not keep the process alive. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds).unref()
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
