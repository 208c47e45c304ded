// What the algorithms need of a rollout: its rewards and its calls. Whatever else it carries comes back with both advantages.

import { isFullScore } from '../core/full-score.js'

/**
 * The trainer's scored rollouts have this shape. `toolCalls` has an element for every call that the policy attempted; a call
 * counts its `cost`, or 1 without one.
 */
export interface RewardedRollout {
  /** 0 to 1; the answer is right where it is 1, rounding apart. */
  answerReward: number
  accuracyReward: number
  toolCalls: ArrayLike<unknown>
}

export interface Advantages {
  accuracyAdvantage: number
  efficiencyAdvantage: number
}

export interface RolloutArrays {
  groupIds: Int32Array
  accuracyRewards: Float32Array
  correct: Uint8Array
  toolCosts: Float32Array
}

/** Groups laid end to end, as the kernel takes them: a group's id is its place. */
export function rolloutArrays(groups: readonly (readonly RewardedRollout[])[]): RolloutArrays {
  const rollouts = groups.flat()
  return {
    groupIds: Int32Array.from(groups.flatMap((group, index) => group.map(() => index))),
    accuracyRewards: Float32Array.from(rollouts, ({ accuracyReward }) => accuracyReward),
    correct: Uint8Array.from(rollouts, ({ answerReward }) => Number(isFullScore(answerReward))),
    toolCosts: Float32Array.from(rollouts, ({ toolCalls }) => Array.from(toolCalls, costOf).reduce(add, 0)),
  }
}

function costOf(call: unknown): number {
  const cost = (call as { cost?: unknown } | null | undefined)?.cost
  return typeof cost === 'number' ? cost : 1
}

function add(sum: number, value: number): number {
  return sum + value
}
