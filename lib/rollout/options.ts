// What a rollout may do, with the defaults and bounds: the one place that has them.
import { z } from 'zod'
import { count, milliseconds } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { samplingShape } from '../native/sampling-options.js'

export const toolChoices = ['auto', 'none', 'required'] as const

export const rolloutShape = {
  /** Assistant turns of a rollout. Default 10. */
  maxTurns: count.default(10),
  /** Tokens after the prompt, observations included. Default: as many as the policy's longest sequence has room for. */
  maxTokens: count.optional(),
  /** Tokens the policy may sample in one turn. Default: what is left of maxTokens. */
  maxTurnTokens: count.optional(),
  ...samplingShape,
  /** Text that ends a turn, besides the end-of-turn token. */
  stop: z.array(z.string().min(1)).optional(),
  /**
   * Default 'auto'. 'none': <tool_call> (Mistral: [TOOL_CALLS]) is never sampled, and text that looks like a call is not run; the
   * prompt stays the same. 'required': the first turn begins with that token (after an empty thought if the template opens one); it
   * is not trained, because the policy did not choose it. Both need it to be one token of the vocabulary. Llama 3's JSON calls have
   * no such token: there 'none' leaves the tools out of the prompt, and 'required' begins with {"name": ".
   */
  toolChoice: z.enum(toolChoices).default('auto'),
  /** Milliseconds for a call of a tool that sets no timeout of its own. Default 30,000. */
  toolTimeout: milliseconds.default(30_000),
  /** Calls of one tool under way at once, over all rollouts of the process. Default 32. */
  toolConcurrency: count.default(32),
  /** Characters of a call's result that the policy reads; a longer one is cut and says so. Default 8,192. */
  maxObservationCharacters: count.default(8192),
}

export const rolloutOptions = z.strictObject(rolloutShape)
export interface RolloutOptions extends OptionsOf<typeof rolloutShape> {}
export type ResolvedRolloutOptions = ResolvedOptions<typeof rolloutShape>

/** Throws InvalidOptionError. */
export function resolveRolloutOptions(options: RolloutOptions): ResolvedRolloutOptions {
  return readOptions(rolloutOptions, options, 'rollout')
}
