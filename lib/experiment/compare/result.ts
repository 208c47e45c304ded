// The results of jobs: result.json of a seed's start and of each cell.
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../../core/errors.js'
import { readIfThere } from '../../core/read-if-there.js'
import { reasonOf } from '../../core/system-error.js'
import type { EvaluationSummary } from '../../evaluation/evaluate.js'
import type { KeptKnowledge } from '../../evaluation/knowledge.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import { type Cell, type Job, resultPath } from './grid.js'

/** Measures of a policy on the held-out questions, graded without noise. Rates are 0 to 1. */
export interface Measures {
  accuracy: number
  callsPerRollout: number
  callShare: number
  redundantCallRate?: number
  neededCallRate?: number
}

export interface StartResult {
  seed: number
  parameters: number
  knowledge: KeptKnowledge
  knownQuestions: number
  neededQuestions: number
  /** Measures before reinforcement learning. */
  before: Measures
  /** Measures before reinforcement learning, on the questions of the curves. */
  curveBefore: Measures
  seconds: number
}

export interface CellResult {
  cell: Cell
  after: Measures
  /** Measures on the questions of the curves, beginning at step 0. */
  curve: ({ step: number } & Measures)[]
  /** Measures of the training rollouts, with training's grades. */
  training: { step: number; accuracy: number; callsPerRollout: number; qualifyingRatio: number }[]
  /** Wall-clock seconds of the process that finished the job. */
  seconds: number
  provenance: Provenance
}

/** What a result was made with. */
export interface Provenance {
  version: string
  /** The commit of the git checkout, with '-dirty' where files differ from it; absent in an installed package. */
  commit?: string
  node: string
  processor: string
}

export function measuresOf(summary: EvaluationSummary): Measures {
  const { accuracy, callsPerRollout, callShare, redundantCallRate, neededCallRate } = summary
  return {
    accuracy,
    callsPerRollout,
    callShare,
    ...(redundantCallRate !== undefined && { redundantCallRate }),
    ...(neededCallRate !== undefined && { neededCallRate }),
  }
}

export function curveOf(curveBefore: Measures, metrics: readonly StepMetrics[]): CellResult['curve'] {
  const evaluated = metrics.flatMap(({ step, evaluation }) =>
    evaluation ? [{ step, ...measuresOf(evaluation) }] : [],
  )
  return [{ step: 0, ...curveBefore }, ...evaluated]
}

export async function writeResult(output: string, job: Job, result: StartResult | CellResult): Promise<void> {
  await writeFileAtomic(resultPath(output, job), `${JSON.stringify(result, null, 1)}\n`)
}

/** Reads a job's result. Undefined where the job has not finished. */
export async function readResult<Result extends StartResult | CellResult>(
  output: string,
  job: Job,
): Promise<Result | undefined> {
  const path = resultPath(output, job)
  try {
    const text = await readIfThere(path)
    return text === undefined ? undefined : (JSON.parse(text) as Result)
  } catch (error) {
    throw new HdpoError('ERR_RUN_FOLDER', `${path} cannot be read: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}
