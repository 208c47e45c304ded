import type { Task, Trajectory } from '../rollout/types.js'

/** How right a rollout's answer is: true or 1 for correct, false or 0 for wrong, or anything between. */
export type AnswerReward = (trajectory: Trajectory, task: Task) => AnswerScore | Promise<AnswerScore>
export type AnswerScore = number | boolean

export interface RewardOptions {
  answer: AnswerReward
  /** Default 0.9. */
  answerWeight?: number
  /** Default 0.1. */
  formatWeight?: number
}
