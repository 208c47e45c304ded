// Serves the policy through OpenAI's chat completions API and records every completion of a rollout as it was sampled.
import { HdpoError } from '../core/errors.js'
import { readOptions } from '../core/options.js'
import { addSecret } from '../core/secrets.js'
import { ApiError } from '../http/api-error.js'
import { type Listening, type ListenOptions, listen, listenOptions } from '../http/listen.js'
import type { FetchHandler } from '../http/node-listener.js'
import { nodeListener, type RequestListener } from '../http/node-listener.js'
import type { RolloutPolicy } from '../policy/types.js'
import type { Outcome, Rollout } from '../rollout/types.js'
import { ActiveRequests } from './active-requests.js'
import { createFetchHandler } from './fetch-handler.js'
import { PromptCache } from './prompt-cache.js'
import { type RegistryMetrics, RolloutRegistry } from './rollout-registry.js'
import {
  resolveServerOptions,
  resolveStartRollout,
  type ServerOptions,
  type StartRolloutOptions,
} from './server-options.js'
import { warnOnce } from './warn-once.js'

export type { StartRolloutOptions }

/** A rollout under way. Its agent reaches the policy at `baseURL` with `apiKey`. */
export interface RolloutHandle {
  readonly id: string
  readonly apiKey: string
  readonly baseURL: string
  /** The model name for requests. */
  readonly model: string
  /** Aborted when the rollout ends, also when it was idle for too long. */
  readonly signal: AbortSignal
  /** Ends the rollout and returns what was recorded. Rejects with ERR_NO_COMPLETION where the policy was never asked. */
  finish(outcome: Outcome): Promise<Rollout>
  /** Ends the rollout without an outcome. Undefined where the policy was never asked. */
  abandon(): Promise<Rollout | undefined>
}

export interface AgentServer {
  readonly policy: RolloutPolicy
  /** For frameworks that use web requests and responses (Hono, Next.js, Deno, Bun). */
  readonly fetchHandler: FetchHandler
  /** For node:http, express and fastify. */
  readonly requestListener: RequestListener
  /** Serves on a port of its own. */
  listen(options?: ListenOptions): Promise<{ url: string }>
  startRollout(options: StartRolloutOptions): RolloutHandle
  metrics(): RegistryMetrics
  /** Abandons the rollouts under way and frees what the engine holds for them. The policy stays open. */
  close(): Promise<void>
}

export function createServer(options: ServerOptions): AgentServer {
  return new PolicyServer(options)
}

class PolicyServer implements AgentServer {
  readonly policy: RolloutPolicy
  readonly fetchHandler: FetchHandler
  readonly requestListener: RequestListener
  readonly #options: ReturnType<typeof resolveServerOptions>
  readonly #prompts: PromptCache
  readonly #registry: RolloutRegistry
  readonly #active = new ActiveRequests()
  #listening: Listening | undefined
  #closed: Promise<void> | undefined

  constructor(serverOptions: ServerOptions) {
    const options = resolveServerOptions(serverOptions)
    const { policy, onWarning } = options
    if (options.token !== undefined) addSecret(options.token, 'createServer token')
    this.#options = options
    this.policy = policy
    this.#prompts = new PromptCache(policy, options.cachedPrompts)
    this.#registry = new RolloutRegistry({ ...options, prompts: this.#prompts })
    this.fetchHandler = createFetchHandler({
      options,
      policy,
      prompts: this.#prompts,
      registry: this.#registry,
      warn: warnOnce(onWarning),
      active: this.#active,
      isClosing: () => this.#closed !== undefined,
      baseURL: () => this.#baseURL,
      created: Math.floor(Date.now() / 1000),
    })
    this.requestListener = nodeListener(this.fetchHandler, (error) =>
      onWarning(
        `a response broke off: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      ),
    )
    options.signal?.addEventListener('abort', () => this.#closeOnSignal(), { once: true })
    if (options.signal?.aborted) this.#closeOnSignal()
  }

  async listen(options: ListenOptions = {}): Promise<{ url: string }> {
    if (this.#closed) throw new HdpoError('ERR_CLOSED', 'the server has been closed')
    if (this.#listening)
      throw new HdpoError('ERR_LISTENING', `the server listens on ${this.#listening.url} already`)
    const address = readOptions(listenOptions, options, 'listen')
    const listening = await listen(this.requestListener, address, this.#options.token !== undefined)
    this.#listening = listening
    // The server was closed while the port was being opened.
    if (this.#closed) await listening.close()
    return { url: listening.url }
  }

  startRollout(options: StartRolloutOptions): RolloutHandle {
    const definition = resolveStartRollout(options)
    if (this.#closed) throw new HdpoError('ERR_CLOSED', 'the server has been closed')
    const baseURL = this.#baseURL
    const { rollout, apiKey } = this.#registry.start(definition)
    return {
      id: rollout.id,
      apiKey,
      baseURL,
      model: this.#options.model,
      signal: rollout.signal,
      finish: (outcome) => this.#registry.finish(rollout, outcome),
      abandon: () => this.#registry.abandon(rollout),
    }
  }

  metrics(): RegistryMetrics {
    return this.#registry.metrics
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#active.abortAll(new ApiError(503, 'the server is closing', { code: 'closing' }))
    await this.#registry.abandonAll()
    await this.#listening?.close()
    this.#prompts.clear()
  }

  #closeOnSignal(): void {
    this.close().catch((error: Error) =>
      this.#options.onWarning(`the server did not close: ${error.message}`),
    )
  }

  get #baseURL(): string {
    if (this.#options.baseURL !== undefined) return this.#options.baseURL
    if (this.#listening) return `${this.#listening.url}/v1`
    throw new HdpoError(
      'ERR_NO_URL',
      'nobody can reach the server yet: call listen(), or give createServer the baseURL under which it is embedded',
    )
  }
}
