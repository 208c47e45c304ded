// Options of a SupervisedTrainer, with their defaults and the checks that are made before any work starts.
import { z } from 'zod'
import { count, instance, list, positive } from '../core/option-kinds.js'
import type { OptionsOf, ResolvedOptions } from '../core/options.js'
import type { Message, ToolDescription } from '../policy/types.js'
import { runShape } from './run-options.js'
import { trainerOptimizerOptions } from './schedule.js'
import type { TrainablePolicy } from './trainable-policy.js'

export interface Conversation {
  messages: Message[]
  /** The tools that the assistant had in it, instead of the trainer's `tools`. */
  tools?: ToolDescription[]
  /** Where it is from, for errors: 'log.jsonl:41'. */
  source?: string
}

/** What decides the numbers of a run, apart from policy, conversations and tools; a config file may set these too. */
export const supervisedTrainingShape = {
  /** Passes over the conversations; parts of one are allowed. Give this or `steps`. Default 1. */
  epochs: positive.optional(),
  /** Give this or `epochs`. */
  steps: count.optional(),
  /** A step takes conversations until the next one would go over this many tokens. */
  tokensPerStep: count,
  /** The optimiser and its schedule. */
  optimizer: trainerOptimizerOptions,
  /** Steps between checkpoints. The last step of a run is always saved. Default 100. */
  checkpointEvery: count.default(100),
  /** Newest checkpoints that stay. Default 2. */
  keepCheckpoints: count.default(2),
}

export const supervisedShape = {
  /** What is trained. */
  policy: instance<TrainablePolicy>('a policy', 'template'),
  /** What it is trained on: { messages }, each with its own tools if they differ from `tools`. At least one. */
  conversations: list<Conversation>().refine(
    (given) => given.length > 0,
    'a list of at least one conversation',
  ),
  /** The tools of every conversation that has none of its own; the chat template gets them. */
  tools: list<ToolDescription>(),
  ...supervisedTrainingShape,
  ...runShape,
}

/** A check for zod that two options fit together; it reports an issue and does not throw. */
export function usesOneLength(
  { epochs, steps }: { epochs?: number | undefined; steps?: number | undefined },
  context: z.RefinementCtx,
): void {
  if (epochs === undefined || steps === undefined) return
  context.addIssue({ code: 'custom', path: ['steps'], message: 'left out where epochs is given' })
}

export const supervisedOptions = z.strictObject(supervisedShape).superRefine(usesOneLength)

export interface SupervisedTrainerOptions extends OptionsOf<typeof supervisedShape> {}
export type ResolvedSupervisedOptions = ResolvedOptions<typeof supervisedShape>
