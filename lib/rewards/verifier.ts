import { messageOf } from '../core/message-of.js'
import { untilAborted } from '../core/until-aborted.js'
import type { Task } from '../rollout/types.js'
import type { AnswerReward } from './types.js'
import { ungraded } from './ungraded.js'

/** true or 1 for right, false or 0 for wrong, or anything between. */
export type Check = (
  finalAnswer: string,
  task: Task,
  context: { signal: AbortSignal },
) => CheckResult | Promise<CheckResult>
export type CheckResult = boolean | number

export interface VerifierOptions {
  /** Milliseconds a check may take. Default 60,000. */
  timeout?: number
  /**
   * What a check that throws, or takes too long, means. Default 'throw': the run ends, for a verifier is code and its error a
   * bug. 'ungraded': the rollout is left out, right for checks that talk to something which may fail.
   */
  onError?: 'throw' | 'ungraded'
}

/** A check of the final answer's text as a reward: runs the tests, compares with a database. No answer is wrong, unchecked. */
export function verifier(
  check: Check,
  { timeout = 60_000, onError = 'throw' }: VerifierOptions = {},
): AnswerReward {
  if (typeof check !== 'function') throw new TypeError(`check: must be a function, got ${typeof check}`)
  if (!(timeout > 0 && timeout < 2 ** 31))
    throw new RangeError(`timeout: must be more than 0 and less than 2^31 milliseconds, got ${timeout}`)
  if (onError !== 'throw' && onError !== 'ungraded')
    throw new RangeError(`onError: must be throw or ungraded, got ${JSON.stringify(onError)}`)
  return async ({ finalAnswer }, task) => {
    if (finalAnswer === undefined) return false
    try {
      return await inTime(timeout, (signal) => check(finalAnswer, task, { signal }))
    } catch (error) {
      if (onError === 'throw') throw error
      return ungraded(`the verifier failed: ${messageOf(error)}`)
    }
  }
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
