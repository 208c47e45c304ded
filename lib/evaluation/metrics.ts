// Metrics of rollouts that have been graded; rates and shares are 0 to 1.

import { isCorrect } from '../rewards/score.js'
import { type RolloutMetrics, rolloutMetrics } from '../rollout/metrics.js'
import type { ScoredRollout, UngradedRollout } from '../rollout/types.js'

/** What all rollouts of a step did, and the rewards and accuracy of those that were graded. */
export interface GradedMetrics extends RolloutMetrics {
  /** Rollouts that the reward could not grade; they are in no group. */
  ungradedRollouts: number
  /** Share of rollouts with the right answer. */
  accuracy: number
  /** Share of rollouts with well-formed markup and exactly one answer. */
  format: number
  accuracyReward: number
  /** Share of groups with at least two right rollouts, which are those that train efficiency. */
  qualifyingGroups: number
  /** Share of rollouts that are right in such a group, which are those that can have an efficiency advantage. */
  qualifyingRatio: number
}

/** The mean of an empty list is 0, so that an empty step stays readable. */
export function mean<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.length === 0 ? 0 : items.reduce((sum, item) => sum + value(item), 0) / items.length
}

function rightRollouts(group: readonly ScoredRollout[]): number {
  return group.filter(isCorrect).length
}

/** `groups` hold the rollouts that were graded. */
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
