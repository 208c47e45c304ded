// Rollouts without training: they measure accuracy and calls on a set of tasks, and what the policy knows without tools.

import { z } from 'zod'
import { checkObject } from '../core/arguments.js'
import { HdpoError } from '../core/errors.js'
import { mapConcurrent } from '../core/map-concurrent.js'
import {
  callback,
  callbackOr,
  count,
  instance,
  list,
  seed as seedOption,
  signal as signalOption,
} from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { ProgressReport } from '../core/progress.js'
import { deriveSeed } from '../core/seed.js'
import type { RolloutPolicy } from '../policy/types.js'
import { checkAnswers } from '../rewards/check-answers.js'
import { rewardOptions } from '../rewards/reward-options.js'
import { isCorrect, partitionGraded, scoreRollouts } from '../rewards/rewards.js'
import { toolSeconds } from '../rollout/call-cost.js'
import { type GroupOptions, type RunGroup, runGroup } from '../rollout/group.js'
import { rolloutOptions } from '../rollout/options.js'
import type { Rollout, ScoredRollout, Task, UngradedRollout } from '../rollout/types.js'
import { toolList } from '../tools/tool-list.js'
import { type Knowledge, toKnowledge } from './knowledge.js'
import { type GradedMetrics, gradedMetrics, mean } from './metrics.js'

export const evaluateShape = {
  /** What is evaluated; this or `play` is given. */
  policy: instance<RolloutPolicy>('a policy').optional(),
  /** Plays `size` rollouts of a task, in order, to evaluate anything but a policy of this process. */
  play: callback<(task: Task, options: GroupOptions) => Promise<Rollout[]>>().optional(),
  /** What is asked. */
  tasks: list<Task>(),
  /** What the policy may call. */
  tools: toolList,
  /** How rollouts are graded. */
  reward: rewardOptions,
  /** Turns, tokens, temperature and other options of a rollout. */
  rollout: rolloutOptions.optional(),
  /** Who plays the rollouts of a task. Default: the policy with `tools`. */
  runGroup: callbackOr<RunGroup>(runGroup),
  /** Rollouts of each task. Default 1. */
  samples: count.default(1),
  /** The same seed asks the same questions with the same random numbers. Default 0. */
  seed: seedOption.default(0),
  /** What measureKnown found: adds the redundant-call and needed-call rate. */
  knowledge: instance<Knowledge>('what measureKnown returns').optional(),
  /** Tasks under way at once. Default 64. */
  concurrency: count.default(64),
  /** Ends all rollouts; evaluate rejects with its reason. */
  signal: signalOption.optional(),
  /** Called after each task. */
  onProgress: callback<(progress: ProgressReport) => void>().optional(),
}
const evaluateOptions = z
  .strictObject(evaluateShape)
  .refine(({ policy, play }) => policy !== undefined || play !== undefined, {
    path: ['policy'],
    message: 'a policy, where there is no play',
  })
export interface EvaluateOptions extends OptionsOf<typeof evaluateShape> {}

/** Without the metrics of qualifying groups, which only training has. */
export interface EvaluationSummary extends Omit<GradedMetrics, 'qualifyingGroups' | 'qualifyingRatio'> {
  questions: number
  /** Mean seconds that a rollout's calls took. The clock differs from run to run, so the metrics of a training step leave it out. */
  toolSecondsPerRollout?: number
  /** Share of rollouts on known questions that call a tool; undefined if no known question was asked. */
  redundantCallRate?: number
  /** Share of rollouts on needed questions that call a tool. */
  neededCallRate?: number
  knownQuestions?: number
  neededQuestions?: number
  knownAccuracy?: number
  neededAccuracy?: number
}

export interface Evaluation {
  summary: EvaluationSummary
  /** The graded rollouts: one list per task, in the order of the tasks. */
  groups: ScoredRollout[][]
  ungraded: UngradedRollout[]
}

/** ERR_ENDPOINT of an evaluation that an endpoint ended, with what was measured before. */
export class EndedEvaluation extends HdpoError {
  constructor(
    cause: HdpoError,
    /** Of the questions whose rollouts had all been graded. */
    readonly measured: Evaluation,
  ) {
    super(cause.code, cause.message, { cause })
    this.name = 'EndedEvaluation'
  }
}

/**
 * Where the endpoint or the judge refuses every request, no further question is asked and this rejects with an EndedEvaluation.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { tasks, reward, rollout, samples, seed, concurrency, signal, onProgress, ...others } = readOptions(
    evaluateOptions,
    options,
  )
  checkTasks(tasks)
  await checkAnswers(reward.answer, tasks, signal)
  const play = playerOf(others)
  let done = 0
  const scored = new Map<number, (ScoredRollout | UngradedRollout)[]>()
  const asking = mapConcurrent(tasks, concurrency, async (task, index) => {
    signal?.throwIfAborted()
    const group = await play(task, {
      ...rollout,
      size: samples,
      seed: deriveSeed(seed, 'evaluate', index),
      ...(signal && { signal }),
    })
    scored.set(index, await scoreRollouts(group, task, reward))
    onProgress?.({ done: ++done, total: tasks.length })
  })
  const measured = () => {
    const inOrder = tasks.flatMap((_, index) => (scored.has(index) ? [scored.get(index) ?? []] : []))
    return toEvaluation(inOrder, options.knowledge)
  }
  await asking.catch((error: unknown) => {
    const isEnd = error instanceof HdpoError && error.code === 'ERR_ENDPOINT'
    throw isEnd ? new EndedEvaluation(error, measured()) : error
  })
  signal?.throwIfAborted()
  return measured()
}

function toEvaluation(
  scored: readonly (readonly (ScoredRollout | UngradedRollout)[])[],
  knowledge: Knowledge | undefined,
): Evaluation {
  const parts = scored.map(partitionGraded)
  const groups = parts.map(({ graded }) => graded)
  const ungraded = parts.flatMap((part) => part.ungraded)
  return { summary: summarize(groups, knowledge, ungraded), groups, ungraded }
}

function playerOf({
  policy,
  play,
  tools,
  runGroup,
}: Pick<z.output<typeof evaluateOptions>, 'policy' | 'play' | 'tools' | 'runGroup'>) {
  return (
    play ?? ((task: Task, options: GroupOptions) => runGroup(policy as RolloutPolicy, task, tools, options))
  )
}

function checkTasks(tasks: readonly Task[]): void {
  for (const [index, task] of tasks.entries())
    checkObject(task, `tasks[${index}]`, 'a task: { id, messages, answer }', {
      id: 'string',
      messages: 'list',
    })
}

const { knowledge: _, ...unmeasured } = evaluateShape
/** The options of evaluate, except that a question is asked 8 times by default. */
export const measureKnownShape = {
  ...unmeasured,
  /** Rollouts of each task, with tools off. Default 8. */
  samples: count.default(8),
}
const measureKnownOptions = z.strictObject(measureKnownShape)
export interface MeasureKnownOptions extends OptionsOf<typeof measureKnownShape> {}

/** Asks every task `samples` times with tools off: `known` is right every time, `needed` never. */
export async function measureKnown(given: MeasureKnownOptions): Promise<Knowledge> {
  const options = readOptions(measureKnownOptions, given)
  const { tasks, samples } = options
  const { groups } = await evaluate({ ...options, rollout: { ...options.rollout, toolChoice: 'none' } })
  const rightShare = tasks.flatMap((task, index): [string, number][] => {
    const group = groups[index] ?? []
    return group.length === samples ? [[task.id, mean(group, right)]] : []
  })
  return toKnowledge({ samples, rightShare })
}

/** `groups`: one list of graded rollouts per question. */
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
