import { z } from 'zod'
import { messageOf } from '../core/message-of.js'
import { InvalidOptionError } from '../core/option-error.js'
import { milliseconds } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { untilAborted } from '../core/until-aborted.js'
import type { Task } from '../rollout/types.js'
import { identified } from './reward-identity.js'
import type { AnswerReward } from './types.js'
import { ungraded } from './ungraded.js'

/** true or 1 for right, false or 0 for wrong, or anything between. */
export type Check = (
  finalAnswer: string,
  task: Task,
  context: { signal: AbortSignal },
) => CheckResult | Promise<CheckResult>
export type CheckResult = boolean | number

export const verifierShape = {
  /** Milliseconds a check may take. Default 60,000. */
  timeout: milliseconds.default(60_000),
  /**
   * What happens if a check throws or takes too long. Default 'throw': the run ends, because a verifier is code and its error a
   * bug. 'ungraded': the rollout is left out, which suits checks that talk to a service that may fail.
   */
  onError: z.enum(['throw', 'ungraded']).default('throw'),
}
const verifierOptions = z.strictObject(verifierShape)
export interface VerifierOptions extends OptionsOf<typeof verifierShape> {}

/** A reward that checks the final answer's text, for example by running tests. Without an answer a rollout is wrong, unchecked. */
export function verifier(check: Check, options: VerifierOptions = {}): AnswerReward {
  if (typeof check !== 'function') throw new InvalidOptionError('verifier.check', 'a function', check)
  const { timeout, onError } = readOptions(verifierOptions, options, 'verifier')
  return identified('verifier', { check, onError }, async ({ finalAnswer }, task) => {
    if (finalAnswer === undefined) return false
    try {
      return await inTime(timeout, (signal) => check(finalAnswer, task, { signal }))
    } catch (error) {
      if (onError === 'throw') throw error
      return ungraded(`the verifier failed: ${messageOf(error)}`)
    }
  })
}

async function inTime<Result>(
  timeout: number,
  work: (signal: AbortSignal) => Result | Promise<Result>,
): Promise<Result> {
  const ended = new AbortController()
  const timer = setTimeout(() => ended.abort(new Error(`no verdict within ${timeout} ms`)), timeout)
  try {
    return await untilAborted(ended.signal, () => work(ended.signal))
  } finally {
    clearTimeout(timer)
  }
}
