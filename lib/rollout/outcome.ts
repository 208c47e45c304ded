// What became of a rollout, as its agent says it.
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

/** Something has to be said, and it must not contradict itself: an answer is correct where its reward is 1. */
export function saysOneThing(
  { correct, reward, answer }: OptionsOf<typeof outcomeShape>,
  { addIssue }: z.core.$RefinementCtx,
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
