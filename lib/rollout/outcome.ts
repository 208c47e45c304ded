// The outcome of a rollout, as its agent reports it.
import { z } from 'zod'
import { share } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { Outcome } from './types.js'

export const outcomeShape = {
  /** Whether the answer is right. */
  correct: z.boolean().optional(),
  /** How right it is, 0 to 1. */
  reward: share.optional(),
  /** The final answer, where the last turn does not say it. */
  answer: z.string().optional(),
}
const outcomeOptions = z.strictObject(outcomeShape).superRefine(saysOneThing)

/** At least one of the three has to be given, and they must not contradict each other: correct means a reward of 1. */
export function saysOneThing(
  { correct, reward, answer }: OptionsOf<typeof outcomeShape>,
  { addIssue }: z.RefinementCtx,
): void {
  if (correct === undefined && reward === undefined && answer === undefined) {
    addIssue({ code: 'custom', path: [], message: 'an object with correct, reward or answer' })
  }
  if (correct !== undefined && reward !== undefined && correct !== (reward === 1)) {
    addIssue({
      code: 'custom',
      path: ['reward'],
      message: '1 where correct is true, and less where it is false',
    })
  }
}

/** Throws InvalidOptionError. */
export function checkOutcome(outcome: unknown): Outcome {
  return readOptions(outcomeOptions, outcome, 'outcome')
}
