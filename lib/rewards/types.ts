import type { Rollout, Task } from '../rollout/types.js'
import type { Ungraded } from './ungraded.js'

/**
 * How right a rollout's answer is: true or 1 for correct, false or 0 for wrong, or anything between. `ungraded(reason)` if that
 * could not be found out: the rollout is left out of its group. A function may have a `report` on its work so far.
 */
export interface AnswerReward {
  (rollout: Rollout, task: Task): AnswerScore | Promise<AnswerScore>
  /**
   * What it grades by, as JSON, for the comparison when a run is resumed: its name and options. Default: its name and a hash of
   * its text.
   */
  readonly identity?: Record<string, unknown>
  /**
   * Throws where it could not grade any rollout of the task, because of the task's `answer`: called for every task before the first
   * rollout is played.
   */
  check?(task: Task): void | Promise<void>
  /** Numbers about its work since it was made, for the metrics of a run. */
  report?(): Record<string, number>
}
export type AnswerScore = number | boolean | Ungraded
