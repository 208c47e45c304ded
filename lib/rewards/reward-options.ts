// How rollouts are graded, with the defaults and bounds.
import { z } from 'zod'
import { callback, notNegative } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'
import type { AnswerReward } from './types.js'

export const rewardShape = {
  /** Says how right an answer is. */
  answer: callback<AnswerReward>(),
  /** Weight of the answer in the accuracy reward. Default 0.9. */
  answerWeight: notNegative.default(0.9),
  /** Weight of well-formed markup with exactly one answer in the accuracy reward. Default 0.1. */
  formatWeight: notNegative.default(0.1),
}
export const rewardOptions = z.strictObject(rewardShape)
export interface RewardOptions extends OptionsOf<typeof rewardShape> {}
