// Statistics of results over seeds: means with bootstrap confidence intervals, and the weights that reach the targets.
import { bootstrapInterval } from '../../evaluation/bootstrap.js'
import type { Targets } from './grid.js'
import type { CellResult, Measures, StartResult } from './result.js'

/** One method at one weight in one setting, over the finished seeds. */
export interface Arm {
  setting: string
  method: string
  weight?: number
  label: string
  results: ArmResult[]
}

interface ArmResult extends CellResult {
  after: ComparedMeasures
}

export interface ComparedMeasures extends Measures {
  /** Needed-call rate after training divided by that before, of the same seed. */
  neededCallsKept?: number
}

export interface Estimate {
  mean: number
  /** Bounds of the 95% interval; equal to the mean where there is one value. */
  low: number
  high: number
}

export type MeasureName = 'accuracy' | 'callsPerRollout' | 'redundantCallRate' | 'neededCallRate'

/** The arms in order of first appearance, which is the grid's order. */
export function armsOf(results: readonly CellResult[], starts: readonly StartResult[]): Arm[] {
  const before = new Map(starts.map((start) => [start.seed, start.before.neededCallRate]))
  const arms = new Map<string, Arm>()
  for (const result of results) {
    const { setting, method, weight, seed } = result.cell
    const key = JSON.stringify([setting, method, weight])
    const arm = arms.get(key) ?? {
      setting,
      method,
      ...(weight !== undefined && { weight }),
      label: weight === undefined ? method : `${method} ${weight}`,
      results: [],
    }
    arm.results.push({ ...result, after: compared(result.after, before.get(seed)) })
    arms.set(key, arm)
  }
  return [...arms.values()]
}

function compared(after: Measures, neededBefore: number | undefined): ComparedMeasures {
  const { neededCallRate } = after
  if (neededCallRate === undefined || neededBefore === undefined || neededBefore === 0) return after
  return { ...after, neededCallsKept: neededCallRate / neededBefore }
}

/** The estimate of a measure after training, over seeds. Undefined where no seed has it. */
export function estimateOf(arm: Arm, name: keyof ComparedMeasures): Estimate | undefined {
  return estimate(valuesOf(arm, name))
}

/** Mean and percentile bootstrap over the values; the same values always give the same interval. */
export function estimate(values: readonly number[]): Estimate | undefined {
  if (values.length === 0) return undefined
  return { mean: average(values), ...bootstrapInterval(values, average, 'bootstrap') }
}

function reaches(
  { redundantCallRate, neededCallsKept }: Pick<ComparedMeasures, 'redundantCallRate' | 'neededCallsKept'>,
  targets: Targets,
): boolean {
  if (redundantCallRate === undefined || neededCallsKept === undefined) return false
  return redundantCallRate <= targets.redundantCallRate && neededCallsKept >= targets.neededCallsKept
}

interface Reach {
  seeds: number
  reached: number
  /** Whether the means over the seeds reach the targets. */
  onAverage: boolean
}

export function reachOf(arm: Arm, targets: Targets): Reach {
  const mean = (name: keyof ComparedMeasures) => estimateOf(arm, name)?.mean
  const [redundantCallRate, neededCallsKept] = [mean('redundantCallRate'), mean('neededCallsKept')]
  return {
    seeds: arm.results.length,
    reached: arm.results.filter(({ after }) => reaches(after, targets)).length,
    onAverage:
      redundantCallRate !== undefined &&
      neededCallsKept !== undefined &&
      reaches({ redundantCallRate, neededCallsKept }, targets),
  }
}

export interface CurvePoint extends Estimate {
  step: number
}

/** The curve of a measure during training, over the seeds that have each step. */
export function curveOfArm(arm: Arm, name: MeasureName): CurvePoint[] {
  return pointsByStep(
    arm.results.flatMap(({ curve }) => curve.map((point) => ({ step: point.step, value: point[name] }))),
  )
}

/** The curve of a measure of the training rollouts. */
export function trainingCurve(
  arm: Arm,
  name: 'qualifyingRatio' | 'callsPerRollout' | 'accuracy',
): CurvePoint[] {
  return pointsByStep(
    arm.results.flatMap(({ training }) =>
      training.map((point) => ({ step: point.step, value: point[name] })),
    ),
  )
}

function pointsByStep(values: readonly { step: number; value: number | undefined }[]): CurvePoint[] {
  const steps = [...new Set(values.map(({ step }) => step))].sort((a, b) => a - b)
  return steps.flatMap((step) => {
    const found = estimate(
      values.flatMap((each) => (each.step === step && each.value !== undefined ? [each.value] : [])),
    )
    return found ? [{ step, ...found }] : []
  })
}

function valuesOf(arm: Arm, name: keyof ComparedMeasures): number[] {
  return arm.results.flatMap(({ after }) => (after[name] === undefined ? [] : [after[name]]))
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
