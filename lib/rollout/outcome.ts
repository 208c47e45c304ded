// What became of a rollout, as its agent says it.
import { z } from 'zod'
import { share } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import type { Outcome } from './types.js'

export const outcomeShape = {
  /** Whether the answer is right. */
  correct: z.boolean().optional(),
  /** How right it is, 0 to 1. */
  reward: share.optional(),
  /** The final answer, where the last turn does not say it. */
  answer: z.string().optional(),
}
const outcomeOptions = z
  .strictObject(outcomeShape)
  .refine((outcome) => Object.values(outcome).some((value) => value !== undefined), {
    message: 'an object with correct, reward or answer',
  })
  // An answer is correct where its reward is 1: the two must not contradict each other.
  .refine(
    ({ correct, reward }) => correct === undefined || reward === undefined || correct === (reward === 1),
    { path: ['reward'], message: '1 where correct is true, and less where it is false' },
  )

/** Throws InvalidOptionError. */
export function checkOutcome(outcome: unknown): Outcome {
  return readOptions(outcomeOptions, outcome, 'outcome')
}
