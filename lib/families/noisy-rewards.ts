// The rewards of a built-in task family: one for training, which errs if the user asks for it, and one for evaluation, which never errs.
import { share } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'
import { noisyAnswer, type RewardOptions } from '../rewards/rewards.js'
import type { Task } from '../rollout/types.js'

export const noiseShape = {
  /**
   * Probability that training grades a rollout wrongly, 0 to 1. It makes accuracy vary within groups, as half-known facts, flaky
   * graders and long answers do. Evaluations grade without errors. Default 0.
   */
  answerNoise: share.default(0),
}
export interface NoiseOptions extends OptionsOf<typeof noiseShape> {}

export interface TaskRewards {
  /** Grades training. */
  reward: RewardOptions
  /** Grades evaluations. */
  evaluationReward: RewardOptions
}

export function noisyRewards(
  isRightAnswer: (given: string | undefined, task: Task) => boolean,
  { answerNoise, seed }: { answerNoise: number; seed: number },
): TaskRewards {
  const exact = ({ finalAnswer }: { finalAnswer: string | undefined }, task: Task) =>
    isRightAnswer(finalAnswer, task)
  return {
    reward: { answer: noisyAnswer(exact, { probability: answerNoise, seed }) },
    evaluationReward: { answer: exact },
  }
}
