// An environment's held-out questions, asked in the same way before training and after it.
import { type EvaluateOptions, type EvaluationSummary, evaluate, summarize } from '../evaluation/evaluate.js'
import type { Knowledge } from '../evaluation/knowledge.js'
import type { Task } from '../rollout/types.js'

/** Policy, questions, tools, reward, samples and seed of the evaluation with tools. */
export type HeldOut = Omit<EvaluateOptions, 'knowledge'>

/** On all held-out questions, and on those that the curves over steps ask. */
export interface HeldOutSummaries {
  all: EvaluationSummary
  curve: EvaluationSummary
}

/**
 * Does `work`, or returns what it returned to an earlier process: how a caller keeps what takes long. Results are JSON. It also
 * tells the caller what begins.
 */
export type Keep<Stage extends string> = <Result>(
  stage: Stage,
  work: () => Promise<Result>,
) => Promise<Result>

export const keepNothing: Keep<string> = (_, work) => work()

export async function askHeldOut(
  heldOut: HeldOut,
  knowledge: Knowledge,
  curve: readonly Task[],
): Promise<HeldOutSummaries> {
  const { summary, groups } = await evaluate({ ...heldOut, knowledge })
  const onCurve = new Set(curve.map(({ id }) => id))
  const curveGroups = groups.filter((_, index) => onCurve.has(heldOut.tasks[index]?.id ?? ''))
  return { all: summary, curve: summarize(curveGroups, knowledge) }
}
