// An environment's held-out questions, asked in the same way before and after training.
import { type EvaluateOptions, type EvaluationSummary, evaluate, summarize } from '../evaluation/evaluate.js'
import type { Knowledge } from '../evaluation/knowledge.js'
import type { Task } from '../rollout/types.js'

/** The options of the evaluation with tools: policy, questions, tools, reward, samples and seed. */
export type HeldOut = Omit<EvaluateOptions, 'knowledge'>

/** Summaries over all held-out questions, and over those that the curves ask. */
export interface HeldOutSummaries {
  all: EvaluationSummary
  curve: EvaluationSummary
}

/** Runs `work`, or returns the JSON result that an earlier process kept for the stage. It also tells the caller which stage begins. */
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
