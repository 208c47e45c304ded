import type { Outcome } from './types.js'

/** Throws a TypeError or RangeError that names what is wrong. */
export function checkOutcome(outcome: unknown): Outcome {
  if (typeof outcome !== 'object' || outcome === null) {
    throw new TypeError(`outcome: must be { correct?, reward?, answer? }, got ${JSON.stringify(outcome)}`)
  }
  const { correct, reward, answer, ...others } = outcome as Record<string, unknown>
  const [other] = Object.keys(others)
  if (other !== undefined)
    throw new TypeError(`outcome.${other}: unknown; known are correct, reward and answer`)
  if (correct === undefined && reward === undefined && answer === undefined) {
    throw new TypeError('outcome: needs correct, reward or answer, got none of them')
  }
  if (correct !== undefined && typeof correct !== 'boolean') {
    throw new TypeError(`outcome.correct: must be true or false, got ${JSON.stringify(correct)}`)
  }
  if (answer !== undefined && typeof answer !== 'string') {
    throw new TypeError(`outcome.answer: must be text, got ${JSON.stringify(answer)}`)
  }
  checkReward(reward, correct)
  return {
    ...(correct !== undefined && { correct }),
    ...(reward !== undefined && { reward: reward as number }),
    ...(answer !== undefined && { answer }),
  }
}

/** An answer is correct where its reward is 1: the two must not contradict each other. */
function checkReward(reward: unknown, correct: boolean | undefined): void {
  if (reward === undefined) return
  if (typeof reward !== 'number')
    throw new TypeError(`outcome.reward: must be a number, got ${JSON.stringify(reward)}`)
  if (!(reward >= 0 && reward <= 1))
    throw new RangeError(`outcome.reward: must be from 0 to 1, got ${reward}`)
  if (correct !== undefined && correct !== (reward === 1)) {
    throw new RangeError(
      `outcome.reward: must be 1 where correct is true and less where it is false, got ${reward} with correct ${correct}`,
    )
  }
}
