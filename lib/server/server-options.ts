// What createServer and its rollouts take.
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
} from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { askedSamplingShape, samplingShape } from '../native/sampling-options.js'
import type { RolloutPolicy } from '../policy/types.js'
import { rolloutShape, toolChoices } from '../rollout/options.js'
import type { Rollout, Task } from '../rollout/types.js'
import type { RequestedSampling } from './completion-request.js'

export const serverShape = {
  /** Answers the requests. */
  policy: instance<RolloutPolicy>('a policy'),
  /** What GET /v1/models and responses call the policy. Default 'policy'. */
  model: text.default('policy'),
  /** Other names that requests may use, e.g. the one that an agent has always asked for. Default: none. */
  aliases: z.array(text).readonly().default([]),
  /** Requests need it as their API key, unless they come with a rollout's key. Default: none, which only loopback allows. */
  token: secret.min(16).optional(),
  /** Sampling of requests that say nothing. What it leaves open is as in a rollout's options. */
  sampling: z.strictObject({ ...askedSamplingShape, temperature: samplingShape.temperature }).prefault({}),
  /** Bytes of a request's body. Default 4 MiB. */
  maxBodyBytes: count.default(4 * 2 ** 20),
  /** Rollouts under way at once. Default 1,024; more are refused with status 429. */
  maxRollouts: count.default(1024),
  /** Milliseconds without a request, after which a rollout is given up. Default 10 minutes. */
  idleTimeout: milliseconds.default(10 * 60_000),
  /** Prompts kept computed. Default 64. */
  cachedPrompts: count.default(64),
  /** Where agents reach the server when it is embedded in another, e.g. 'http://127.0.0.1:3000/v1'. Default: what listen() says. */
  baseURL: z.url('an address such as http://127.0.0.1:3000/v1').optional(),
  /** Told of every rollout that ended, before finish() resolves. One abandoned has end 'aborted'. Default: nobody is. */
  onRollout: callbackOr<(played: Rollout) => void | Promise<void>>(() => {}),
  /** Told of faults and of what is accepted without being honoured. Default: process.emitWarning. */
  onWarning,
  /** Closes the server. */
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

/** Throws InvalidOptionError. */
export function resolveServerOptions(options: ServerOptions): ResolvedServerOptions {
  return readOptions(serverOptions, options, 'createServer') as ResolvedServerOptions
}

/** What holds for a rollout whatever its agent asks for. */
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
  /** Tokens after the first prompt. Default: as many as the policy's longest sequence has room for. */
  maxTokens: rolloutShape.maxTokens,
  /** Tokens that the policy may sample in one turn. Default: what is left of maxTokens. */
  maxTurnTokens: rolloutShape.maxTurnTokens,
  /** 'none': the policy cannot call tools, whatever the requests say. Default 'auto': as the requests say. */
  toolChoice: z.enum(toolChoices).exclude(['required']).default('auto'),
}
export interface RolloutLimits extends OptionsOf<typeof rolloutLimitsShape> {}

export const startRolloutShape = {
  ...rolloutLimitsShape,
  /** What the rollout is of. */
  task: kind<Pick<Task, 'id' | 'metadata'>>(
    'a task: { id, metadata? }',
    (value) => typeof (value as Task | null)?.id === 'string',
  ),
  /** How the rollout is named. Default: a random name. */
  id: text.optional(),
}
const startRolloutOptions = z.strictObject(startRolloutShape)
export interface StartRolloutOptions extends OptionsOf<typeof startRolloutShape> {}
export type ResolvedStartRollout = Omit<ResolvedOptions<typeof startRolloutShape>, 'sampling'> & {
  sampling?: Sampling
}

/** Throws InvalidOptionError. */
export function resolveStartRollout(options: StartRolloutOptions): ResolvedStartRollout {
  return readOptions(startRolloutOptions, options, 'startRollout') as ResolvedStartRollout
}
