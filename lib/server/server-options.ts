// What createServer takes, and the checks of it.
import { inspect } from 'node:util'
import { z } from 'zod'
import type { RolloutPolicy } from '../policy/types.js'
import type { Rollout } from '../rollout/types.js'
import type { RequestedSampling } from './completion-request.js'

export interface ServerOptions {
  policy: RolloutPolicy
  /** What GET /v1/models and responses call the policy. Default 'policy'. */
  model?: string
  /** Other names that requests may use, e.g. the one that an agent has always asked for. */
  aliases?: readonly string[]
  /** Requests need it as their API key, unless they come with a rollout's key. Default: none, which only loopback allows. */
  token?: string
  /** Sampling of requests that say nothing: temperature 1, top_p 1 ... */
  sampling?: Pick<RequestedSampling, 'temperature' | 'topP' | 'topK' | 'minP'>
  /** Bytes of a request's body. Default 4 MiB. */
  maxBodyBytes?: number
  /** Rollouts under way at once. Default 1,024; more are refused with status 429. */
  maxRollouts?: number
  /** Milliseconds without a request, after which a rollout is given up. Default 10 minutes. */
  idleTimeout?: number
  /** Prompts kept computed. Default 64. */
  cachedPrompts?: number
  /** Where agents reach the server when it is embedded in another, e.g. 'http://127.0.0.1:3000/v1'. Default: what listen() says. */
  baseURL?: string
  /** Told of every rollout that ended, before finish() resolves. One abandoned has end 'aborted'. */
  onRollout?: (played: Rollout) => void | Promise<void>
  /** Told of faults and of what is accepted without being honoured. Default: process.emitWarning. */
  onWarning?: (message: string) => void
  /** Closes the server. */
  signal?: AbortSignal
}

type Optional = 'token' | 'baseURL' | 'signal'
export type ResolvedServerOptions = Required<Omit<ServerOptions, Optional>> & Pick<ServerOptions, Optional>

const count = z.int().min(1)
const name = z.string().min(1)
const schema = z.strictObject({
  policy: z.custom<RolloutPolicy>((value) => typeof value === 'object' && value !== null, 'must be a policy'),
  model: name.default('policy'),
  aliases: z.array(name).default([]),
  token: z.string().min(16, 'must have at least 16 characters').optional(),
  sampling: z
    .strictObject({
      temperature: z.number().min(0).optional(),
      topP: z.number().gt(0).max(1).optional(),
      topK: z.int().min(0).optional(),
      minP: z.number().min(0).max(1).optional(),
    })
    .default({}),
  maxBodyBytes: count.default(4 * 2 ** 20),
  maxRollouts: count.default(1024),
  // setTimeout takes no more.
  idleTimeout: z
    .number()
    .gt(0)
    .max(2 ** 31 - 1)
    .default(10 * 60_000),
  cachedPrompts: count.default(64),
  baseURL: z.url().optional(),
  onRollout: z
    .custom<ResolvedServerOptions['onRollout']>((value) => typeof value === 'function', 'must be a function')
    .default(() => () => {}),
  onWarning: z
    .custom<ResolvedServerOptions['onWarning']>((value) => typeof value === 'function', 'must be a function')
    .default(() => (message: string) => process.emitWarning(message, 'HdpoWarning')),
  signal: z.instanceof(AbortSignal).optional(),
})

/** Throws a TypeError or RangeError that names the option. */
export function resolveServerOptions(options: ServerOptions): ResolvedServerOptions {
  const parsed = schema.safeParse(options)
  // Optional keys of zod may hold undefined, which is the same as absent to every reader.
  if (parsed.success) return parsed.data as ResolvedServerOptions
  const { code, path, message } = parsed.error.issues[0] as z.core.$ZodIssue
  const given = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], options)
  // A token that is too short is a secret still.
  const shown = path[0] === 'token' ? `${String(given).length} characters` : inspect(given, { depth: 0 })
  const text = `createServer ${path.join('.')}: ${message}, got ${shown}`
  throw code === 'invalid_type' || code === 'unrecognized_keys' || code === 'custom'
    ? new TypeError(text)
    : new RangeError(text)
}
