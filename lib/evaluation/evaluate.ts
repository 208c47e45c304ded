// Rollouts without training: accuracy and calls on a set of tasks, and what the policy knows without tools.

import { mapConcurrent } from '../core/map-concurrent.js'
import { checkCount } from '../core/option-checks.js'
import type { ProgressReport } from '../core/progress.js'
import { deriveSeed } from '../core/seed.js'
import type { RolloutPolicy } from '../policy/types.js'
import { isCorrect, partitionGraded, type RewardOptions, scoreRollouts } from '../rewards/rewards.js'
import { toolSeconds } from '../rollout/call-cost.js'
import { type GroupOptions, type RunGroup, runGroup as runPolicyGroup } from '../rollout/group.js'
import type { RolloutOptions } from '../rollout/options.js'
import type { Rollout, ScoredRollout, Task, UngradedRollout } from '../rollout/types.js'
import type { Tool } from '../tools/types.js'
import { type Knowledge, toKnowledge } from './knowledge.js'
import { type GradedMetrics, gradedMetrics, mean } from './metrics.js'

export interface EvaluateOptions {
  /** This or `play`. */
  policy?: RolloutPolicy
  /** Plays `size` rollouts of a task, in order: whatever is evaluated that is no policy of this process. */
  play?: (task: Task, options: GroupOptions) => Promise<Rollout[]>
  tasks: readonly Task[]
  tools: readonly Tool[]
  reward: RewardOptions
  rollout?: RolloutOptions
  /** As in TrainerOptions. */
  runGroup?: RunGroup
  /** Rollouts of each task. Default 1. */
  samples?: number
  /** Default 0. The same seed asks the same questions with the same random numbers. */
  seed?: number
  /** Adds the redundant-call and needed-call rate. */
  knowledge?: Knowledge
  /** Tasks under way at once. Default 64. */
  concurrency?: number
  signal?: AbortSignal
  /** Told after each task. */
  onProgress?: (progress: ProgressReport) => void
}

/** Rollouts are not grouped for training here, so nothing qualifies. */
export interface EvaluationSummary extends Omit<GradedMetrics, 'qualifyingGroups' | 'qualifyingRatio'> {
  questions: number
  /** Mean seconds that a rollout's calls took. Measured by the clock: not in the metrics of a training step. */
  toolSecondsPerRollout?: number
  /** Of rollouts on known questions: share that calls a tool; undefined where none was asked. */
  redundantCallRate?: number
  /** Of rollouts on needed questions: share that calls a tool. */
  neededCallRate?: number
  knownQuestions?: number
  neededQuestions?: number
  knownAccuracy?: number
  neededAccuracy?: number
}

export interface Evaluation {
  summary: EvaluationSummary
  /** One list a task, in order of the tasks, of the rollouts that were graded. */
  groups: ScoredRollout[][]
  ungraded: UngradedRollout[]
}

export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { tasks, reward, rollout, samples = 1, seed = 0, concurrency = 64, signal } = options
  const play = playerOf(options)
  checkCount('samples', samples)
  checkCount('concurrency', concurrency)
  let done = 0
  const scored = await mapConcurrent(tasks, concurrency, async (task, index) => {
    signal?.throwIfAborted()
    const group = await play(task, {
      ...rollout,
      size: samples,
      seed: deriveSeed(seed, 'evaluate', index),
      ...(signal && { signal }),
    })
    const graded = await scoreRollouts(group, task, reward)
    options.onProgress?.({ done: ++done, total: tasks.length })
    return graded
  })
  signal?.throwIfAborted()
  const parts = scored.map(partitionGraded)
  const groups = parts.map(({ graded }) => graded)
  const ungraded = parts.flatMap((part) => part.ungraded)
  return { summary: summarize(groups, options.knowledge, ungraded), groups, ungraded }
}

function playerOf({ policy, play, tools, runGroup = runPolicyGroup }: EvaluateOptions) {
  if (play) return play
  if (!policy) throw new TypeError('policy: must be given, or play')
  return (task: Task, options: GroupOptions) => runGroup(policy, task, tools, options)
}

/**
 * Asks every task `samples` times (default 8) with tools off: `known` is right every time, `needed` never.
 */
export async function measureKnown(options: Omit<EvaluateOptions, 'knowledge'>): Promise<Knowledge> {
  const samples = options.samples ?? 8
  const { groups } = await evaluate({
    ...options,
    samples,
    rollout: { ...options.rollout, toolChoice: 'none' },
  })
  const rightShare = options.tasks.flatMap((task, index): [string, number][] => {
    const group = groups[index] ?? []
    return group.length === samples ? [[task.id, mean(group, right)]] : []
  })
  return toKnowledge({ samples, rightShare })
}

/** One list of graded rollouts a question. */
export function summarize(
  groups: readonly (readonly ScoredRollout[])[],
  knowledge?: Knowledge,
  ungraded: readonly UngradedRollout[] = [],
): EvaluationSummary {
  const { qualifyingGroups: _, qualifyingRatio: __, ...metrics } = gradedMetrics(groups, ungraded)
  return {
    questions: groups.length,
    ...metrics,
    toolSecondsPerRollout: mean([...groups.flat(), ...ungraded], toolSeconds),
    ...(knowledge && callRates(groups.flat(), knowledge)),
  }
}

const right = (rollout: ScoredRollout) => Number(isCorrect(rollout))

function callRates(rollouts: readonly ScoredRollout[], knowledge: Knowledge) {
  const known = rollouts.filter((rollout) => knowledge.known.has(rollout.taskId))
  const needed = rollouts.filter((rollout) => knowledge.needed.has(rollout.taskId))
  const calls = (rollout: ScoredRollout) => Number(rollout.toolCalls.length > 0)
  return {
    knownQuestions: new Set(known.map((rollout) => rollout.taskId)).size,
    neededQuestions: new Set(needed.map((rollout) => rollout.taskId)).size,
    ...(known.length > 0 && { redundantCallRate: mean(known, calls), knownAccuracy: mean(known, right) }),
    ...(needed.length > 0 && { neededCallRate: mean(needed, calls), neededAccuracy: mean(needed, right) }),
  }
}
