import type { Rollout, Task } from '../rollout/types.js'
import type { Ungraded } from './ungraded.js'

/**
 * How right a rollout's answer is: true or 1 for correct, false or 0 for wrong, or anything between. `ungraded(reason)` where
 * that could not be found out: the rollout is left out of its group. A function may have a `report` of what it did so far.
 */
export interface AnswerReward {
  (rollout: Rollout, task: Task): AnswerScore | Promise<AnswerScore>
  /** Numbers about its own work since it was made, for the metrics of a run. */
  report?(): Record<string, number>
}
export type AnswerScore = number | boolean | Ungraded
