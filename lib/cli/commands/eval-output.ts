// What hdpo eval prints, and what --output saves.
import { z } from 'zod'
import { HdpoError } from '../../core/errors.js'
import { jsonProblem, parseJson } from '../../core/exact-json.js'
import { readText } from '../../core/text-file.js'
import type { Evaluation } from '../../evaluation/evaluate.js'
import type { Interval } from '../../evaluation/intervals.js'
import type { Knowledge } from '../../evaluation/knowledge.js'
import { type KeptKnowledge, toKnowledge } from '../../evaluation/knowledge.js'
import type { EvaluationMeasures } from '../../evaluation/measures.js'
import { formatTable, percent } from '../terminal/table.js'

export interface EvalOutput {
  target: string
  /** Questions that were asked. */
  questions: number
  /** Why not all questions were asked; absent where they were. */
  ended?: string
  /** How often each question is asked. */
  samples: number
  rollouts: number
  ungradedRollouts: number
  seed: number
  /** Each measure has its 95% interval. */
  measures: EvaluationMeasures
  /** Seconds that a rollout took; absent for a policy in this process. */
  latency?: { median: number; percentile95: number }
  /** Number of calls by outcome. */
  calls: Evaluation['summary']['calls']
  /** Number of rollouts by why they ended. */
  ends: Evaluation['summary']['ends']
  known?: { knownQuestions: number; neededQuestions: number } & KeptKnowledge
}

const keptKnowledge = z.object({
  known: z.object({ samples: z.int().min(1), rightShare: z.array(z.tuple([z.string(), z.number()])) }),
})

/** Reads the knowledge that an earlier --output saved. */
export async function readKnowledge(path: string): Promise<Knowledge> {
  const text = await readText(path, 'ERR_CONFIG')
  let value: unknown
  try {
    value = parseJson(text)
  } catch (error) {
    throw new HdpoError('ERR_CONFIG', `--known-from: ${path}: ${jsonProblem(error)}`, { cause: error })
  }
  const parsed = keptKnowledge.safeParse(value)
  if (parsed.success) return toKnowledge(parsed.data.known)
  throw new HdpoError('ERR_CONFIG', `--known-from: ${path} is no --output of hdpo eval --known`)
}

export function formatEvaluation(output: EvalOutput): string {
  const { measures, latency, known, calls } = output
  const failed = Object.entries(calls).filter(([outcome, count]) => outcome !== 'ok' && count > 0)
  const rows: (readonly [string, string, string])[] = [
    ['questions', String(output.questions), ''],
    ['rollouts', String(output.rollouts), ''],
    ...(output.ungradedRollouts > 0
      ? [['rollouts not graded', String(output.ungradedRollouts), ''] as const]
      : []),
    row('accuracy', measures.accuracy, percent),
    row('rollouts that call a tool', measures.callShare, percent),
    row('calls per rollout', measures.callsPerRollout, decimals),
    row('calls per right answer', measures.callsPerRightAnswer, decimals),
    ...(known
      ? [
          row(`redundant-call rate (${known.knownQuestions} known)`, measures.redundantCallRate, percent),
          row(`needed-call rate (${known.neededQuestions} needed)`, measures.neededCallRate, percent),
          row('accuracy, known questions', measures.knownAccuracy, percent),
          row('accuracy, needed questions', measures.neededAccuracy, percent),
        ]
      : []),
    row('tool cost per 1,000 questions', measures.toolCostPerRollout, perThousand),
    row('tool seconds per 1,000 questions', measures.toolSecondsPerRollout, perThousand),
    ...playedRows(measures, latency),
    ...failed.map(([outcome, count]) => [`calls: ${outcome}`, String(count), ''] as const),
  ]
  return formatTable(['measure', 'value', '95% interval'], rows)
}

function playedRows(measures: EvaluationMeasures, latency: EvalOutput['latency']) {
  if (!latency) return []
  const { tokenCostPerRollout, tokenCostPerRightAnswer } = measures
  return [
    row('seconds per rollout', measures.latencySeconds, decimals),
    [
      'seconds: median, 95th percentile',
      `${decimals(latency.median)}, ${decimals(latency.percentile95)}`,
      '',
    ] as const,
    row('prompt tokens per rollout', measures.promptTokensPerRollout, decimals),
    row('completion tokens per rollout', measures.completionTokensPerRollout, decimals),
    ...(tokenCostPerRollout
      ? [
          row('price of tokens per 1,000 questions', tokenCostPerRollout, perThousand),
          row('price of tokens per 1,000 right answers', tokenCostPerRightAnswer, perThousand),
        ]
      : []),
  ]
}

function row(
  name: string,
  interval: Interval | undefined,
  format: (value: number) => string,
): readonly [string, string, string] {
  if (!interval) return [name, '-', '']
  const high = Number.isFinite(interval.high) ? format(interval.high) : 'unbounded'
  return [name, format(interval.value), `${format(interval.low)} - ${high}`]
}

const decimals = (value: number): string => value.toFixed(2)

function perThousand(each: number): string {
  const value = 1000 * each
  return value === 0 || value >= 1000 ? value.toFixed(0) : value.toPrecision(4)
}
