// Metrics of a list of rollouts that need no scores. Means and shares of an empty list are 0.
import { toolCost } from './call-cost.js'
import { tokenSequences } from './token-sequences.js'
import { type Rollout, rolloutEnds, type ToolCallOutcome, toolCallOutcomes } from './types.js'

export interface RolloutMetrics {
  rollouts: number
  callsPerRollout: number
  /** Share of rollouts that attempt a call at all. */
  callShare: number
  /** Mean sum of the calls' costs, in the unit of the tools' `cost`; calls per rollout where no tool has one. */
  costPerRollout: number
  /** Calls by outcome. */
  calls: Record<ToolCallOutcome, number>
  /** Rollouts by the reason why they ended. */
  ends: Record<Rollout['end'], number>
  /** Mean number of turns. */
  turns: number
  /** Sum of sampled tokens: those that may be trained. */
  sampledTokens: number
  /** Sum of the control tokens that tasks, tools or their results spelled out, and that were encoded as ordinary text. */
  controlTokensInText: number
  /** Number of token sequences: more than `rollouts` where agents branched or rewrote their history. */
  segments: number
  /** Rollouts with more than one token sequence. */
  splitRollouts: number
}

export function rolloutMetrics(rollouts: readonly Rollout[]): RolloutMetrics {
  const mean = (value: (rollout: Rollout) => number) =>
    sum(rollouts.map(value)) / Math.max(rollouts.length, 1)
  const segments = rollouts.map(tokenSequences)
  return {
    rollouts: rollouts.length,
    callsPerRollout: mean(({ toolCalls }) => toolCalls.length),
    callShare: mean(({ toolCalls }) => Number(toolCalls.length > 0)),
    costPerRollout: mean(toolCost),
    calls: countBy(
      toolCallOutcomes,
      rollouts.flatMap(({ toolCalls }) => toolCalls.map(({ outcome }) => outcome)),
    ),
    ends: countBy(
      rolloutEnds,
      rollouts.map(({ end }) => end),
    ),
    turns: mean(({ turns }) => turns),
    sampledTokens: sum(segments.flat().map(({ mask }) => mask.reduce((count, bit) => count + bit, 0))),
    controlTokensInText: sum(rollouts.map((rollout) => rollout.controlTokensInText ?? 0)),
    segments: segments.flat().length,
    splitRollouts: segments.filter(({ length }) => length > 1).length,
  }
}

function countBy<Key extends string>(keys: readonly Key[], found: readonly Key[]): Record<Key, number> {
  const counts = Object.fromEntries(keys.map((key) => [key, 0])) as Record<Key, number>
  for (const key of found) counts[key]++
  return counts
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
