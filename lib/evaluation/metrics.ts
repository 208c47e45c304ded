// What rollouts did, as a line of metrics says it: rates and shares are 0 to 1.

import { isCorrect } from '../rewards/score.js'
import { type RolloutMetrics, rolloutMetrics } from '../rollout/metrics.js'
import type { ScoredRollout, UngradedRollout } from '../rollout/types.js'

/** What all rollouts of a step did, and the rewards and accuracy of those that were graded. */
export interface GradedMetrics extends RolloutMetrics {
  /** Rollouts that the reward could not grade; in no group. */
  ungradedRollouts: number
  /** Share of rollouts with the right answer. */
  accuracy: number
  /** Share whose markup is whole and that answer exactly once. */
  format: number
  accuracyReward: number
  /** Share of groups with two right rollouts or more: those that train efficiency. */
  qualifyingGroups: number
  /** Share of rollouts that are right in such a group: those that can have an efficiency advantage. */
  qualifyingRatio: number
}

/** 0 of nothing, so that an empty step stays readable. */
export function mean<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.length === 0 ? 0 : items.reduce((sum, item) => sum + value(item), 0) / items.length
}

function rightRollouts(group: readonly ScoredRollout[]): number {
  return group.filter(isCorrect).length
}

/** Groups hold what was graded. */
export function gradedMetrics(
  groups: readonly (readonly ScoredRollout[])[],
  ungraded: readonly UngradedRollout[] = [],
): GradedMetrics {
  const rollouts = groups.flat()
  const qualifying = groups.map(rightRollouts).filter((right) => right >= 2)
  return {
    ...rolloutMetrics([...rollouts, ...ungraded]),
    ungradedRollouts: ungraded.length,
    accuracy: mean(rollouts, (rollout) => Number(isCorrect(rollout))),
    format: mean(rollouts, (rollout) => rollout.formatReward),
    accuracyReward: mean(rollouts, (rollout) => rollout.accuracyReward),
    qualifyingGroups: qualifying.length / Math.max(groups.length, 1),
    qualifyingRatio: qualifying.reduce((sum, right) => sum + right, 0) / Math.max(rollouts.length, 1),
  }
}
