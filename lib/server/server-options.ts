// Options of createServer and of its rollouts.
import { z } from 'zod'
import {
  callbackOr,
  count,
  instance,
  kind,
  milliseconds,
  onWarning,
  secret,
  signal,
  text,
  textOf,
} from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { askedSamplingShape, samplingShape } from '../native/sampling-options.js'
import type { RolloutPolicy } from '../policy/types.js'
import { rolloutShape, toolChoices } from '../rollout/options.js'
import type { Rollout, Task } from '../rollout/types.js'
import type { RequestedSampling } from './completion-request.js'

export const serverShape = {
  /** The policy that answers requests. */
  policy: instance<RolloutPolicy>('a policy'),
  /** The policy's name in GET /v1/models and in responses. Default 'policy'. */
  model: text.default('policy'),
  /** Other model names that requests may use, e.g. the one that an agent has in its code. Default: none. */
  aliases: z.array(text).readonly().default([]),
  /** The API key that requests need, unless they use a rollout's key. Default: none, which only loopback allows. */
  token: secret.min(16).optional(),
  /**
   * Origins whose web pages may ask, e.g. 'https://app.example'; the host of an embedded server answers their CORS preflights.
   * Default: none but the server's own.
   */
  allowedOrigins: z
    .array(
      textOf(
        'an origin such as https://app.example',
        (text) => URL.canParse(text) && new URL(text).origin === text,
      ),
    )
    .readonly()
    .default([]),
  /** Sampling of requests that say nothing. What it leaves open is as in a rollout's options. */
  sampling: z.strictObject({ ...askedSamplingShape, temperature: samplingShape.temperature }).prefault({}),
  /** Bytes of a request's body. Default 4 MiB. */
  maxBodyBytes: count.default(4 * 2 ** 20),
  /** The most rollouts under way at once; more are refused with status 429. Default 1,024. */
  maxRollouts: count.default(1024),
  /** Milliseconds without a request after which a rollout is abandoned. Default 10 minutes. */
  idleTimeout: milliseconds.default(10 * 60_000),
  /** Prompts whose KV cache is kept. Default 64. */
  cachedPrompts: count.default(64),
  /**
   * The URL at which agents reach a server that is embedded in another, e.g. 'http://127.0.0.1:3000/v1'. Default: the URL of
   * listen().
   */
  baseURL: z.url('an address such as http://127.0.0.1:3000/v1').optional(),
  /**
   * Called with every rollout that ended, before finish() resolves. The end of an abandoned one is 'aborted'. Default: nothing is
   * called.
   */
  onRollout: callbackOr<(played: Rollout) => void | Promise<void>>(() => {}),
  /** Called for server errors and for parameters that are accepted without effect. Default: process.emitWarning. */
  onWarning,
  /** Closes the server when it is aborted. */
  signal: signal.optional(),
}
const serverOptions = z.strictObject(serverShape)
export interface ServerOptions extends OptionsOf<typeof serverShape> {}
/** What a request that says nothing is sampled with. */
export type ServerSampling = RequestedSampling & { temperature: number }
type Sampling = Pick<RequestedSampling, 'temperature' | 'topP' | 'topK' | 'minP' | 'seed'>
export type ResolvedServerOptions = Omit<ResolvedOptions<typeof serverShape>, 'sampling'> & {
  sampling: ServerSampling
}

/** Fills in the defaults. Throws InvalidOptionError. */
export function resolveServerOptions(options: ServerOptions): ResolvedServerOptions {
  return readOptions(serverOptions, options, 'createServer') as ResolvedServerOptions
}

/** Limits that hold for a rollout whatever its agent asks for. */
export const rolloutLimitsShape = {
  /**
   * Wins over the requests', which decide what it leaves open: all rollouts that are trained must be sampled as the trainer takes
   * them to be. Default: as the requests say.
   */
  sampling: z
    .strictObject({
      ...askedSamplingShape,
      /** The rollout's random numbers follow from it. Default: as the requests say. */
      seed: z.int().optional(),
    })
    .optional(),
  /** The most tokens after the first prompt. Default: as many as the policy's longest sequence has room for. */
  maxTokens: rolloutShape.maxTokens,
  /** The most tokens that the policy may sample per turn. Default: what is left of maxTokens. */
  maxTurnTokens: rolloutShape.maxTurnTokens,
  /** 'none' keeps the policy from calling tools, whatever the requests say. Default 'auto': as the requests say. */
  toolChoice: z.enum(toolChoices).exclude(['required']).default('auto'),
}
export interface RolloutLimits extends OptionsOf<typeof rolloutLimitsShape> {}

export const startRolloutShape = {
  ...rolloutLimitsShape,
  /** The task that the rollout is of. */
  task: kind<Pick<Task, 'id' | 'metadata'>>(
    'a task: { id, metadata? }',
    (value) => typeof (value as Task | null)?.id === 'string',
  ),
  /** The rollout's id. Default: a random one. */
  id: text.optional(),
}
const startRolloutOptions = z.strictObject(startRolloutShape)
export interface StartRolloutOptions extends OptionsOf<typeof startRolloutShape> {}
export type ResolvedStartRollout = Omit<ResolvedOptions<typeof startRolloutShape>, 'sampling'> & {
  sampling?: Sampling
}

/** Fills in the defaults. Throws InvalidOptionError. */
export function resolveStartRollout(options: StartRolloutOptions): ResolvedStartRollout {
  return readOptions(startRolloutOptions, options, 'startRollout') as ResolvedStartRollout
}
