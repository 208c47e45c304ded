// What a rollout may do, and the checks of it.
import { inspect } from 'node:util'
import { z } from 'zod'

export interface RolloutOptions {
  /** Assistant turns of a rollout. Default 10. */
  maxTurns?: number
  /**
   * Tokens after the prompt, observations included. Default: as many as the policy's longest sequence has
   * room for.
   */
  maxTokens?: number
  /** Tokens the policy may sample in one turn. Default: what is left of maxTokens. */
  maxTurnTokens?: number
  /** Default 1; 0 takes the likeliest token. */
  temperature?: number
  topP?: number
  topK?: number
  minP?: number
  /** Text that ends a turn, besides the end-of-turn token. */
  stop?: string[]
  /**
   * Default 'auto'. 'none': <tool_call> (Mistral: [TOOL_CALLS]) is never sampled, and what looks like a call is not run; the
   * prompt stays the same. 'required': the first turn begins with it (after an empty thought where the template opens one), which
   * is not trained, for the policy did not choose it. Both need it to be one token of the vocabulary. Llama 3's JSON calls begin
   * with no token of their own: there 'none' leaves the tools out of the prompt, and 'required' begins with {"name": ".
   */
  toolChoice?: 'auto' | 'none' | 'required'
  /** Milliseconds for a call of a tool that sets no timeout of its own. Default 30,000. */
  toolTimeout?: number
  /** Calls of one tool under way at once, over all rollouts of the process. Default 32. */
  toolConcurrency?: number
  /** A longer result of a call is cut and says so. Default 8,192 characters. */
  maxObservationCharacters?: number
}

type Defaulted =
  | 'maxTurns'
  | 'temperature'
  | 'toolChoice'
  | 'toolTimeout'
  | 'toolConcurrency'
  | 'maxObservationCharacters'
export type ResolvedRolloutOptions = RolloutOptions & Required<Pick<RolloutOptions, Defaulted>>

const count = z.int().min(1)
const schema = z.strictObject({
  maxTurns: count.default(10),
  maxTokens: count.optional(),
  maxTurnTokens: count.optional(),
  temperature: z.number().min(0).default(1),
  topP: z.number().gt(0).max(1).optional(),
  topK: z.int().min(0).optional(),
  minP: z.number().min(0).max(1).optional(),
  stop: z.array(z.string().min(1)).optional(),
  toolChoice: z.enum(['auto', 'none', 'required']).default('auto'),
  // setTimeout takes no more.
  toolTimeout: z
    .number()
    .gt(0)
    .max(2 ** 31 - 1)
    .default(30_000),
  toolConcurrency: count.default(32),
  maxObservationCharacters: count.default(8192),
})

/** Throws a TypeError or RangeError that names the option. */
export function resolveRolloutOptions(options: RolloutOptions): ResolvedRolloutOptions {
  const parsed = schema.safeParse(options)
  // Optional keys of zod may hold undefined, which is the same as absent to every reader.
  if (parsed.success) return parsed.data as ResolvedRolloutOptions
  const { code, path, message } = parsed.error.issues[0] as z.core.$ZodIssue
  const given = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)[key], options)
  const text = `${['rollout', ...path].join('.')}: ${message}, got ${inspect(given)}`
  throw code === 'invalid_type' || code === 'unrecognized_keys' ? new TypeError(text) : new RangeError(text)
}
