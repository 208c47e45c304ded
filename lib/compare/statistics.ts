// Results over seeds: means with bootstrap confidence intervals, and which weights reach the targets.
import { Random } from '../tasks/random.js'
import type { Targets } from './grid.js'
import type { CellResult, Measures } from './result.js'

/** One method at one weight in one setting, over the seeds that have finished. */
export interface Arm {
  setting: string
  method: string
  weight?: number
  label: string
  results: CellResult[]
}

export interface Estimate {
  mean: number
  /** 95% interval; equal to the mean with one value. */
  low: number
  high: number
}

export const measureNames = ['accuracy', 'callsPerRollout', 'redundantCallRate', 'neededCallRate'] as const
export type MeasureName = (typeof measureNames)[number]

const resamples = 2000

/** In order of first appearance, as the grid has them. */
export function armsOf(results: readonly CellResult[]): Arm[] {
  const arms = new Map<string, Arm>()
  for (const result of results) {
    const { setting, method, weight } = result.cell
    const key = JSON.stringify([setting, method, weight])
    const arm = arms.get(key) ?? {
      setting,
      method,
      ...(weight !== undefined && { weight }),
      label: weight === undefined ? method : `${method} ${weight}`,
      results: [],
    }
    arm.results.push(result)
    arms.set(key, arm)
  }
  return [...arms.values()]
}

/** Of a measure after training, over seeds. Undefined where no seed has it. */
export function estimateOf(arm: Arm, name: MeasureName): Estimate | undefined {
  return estimate(valuesOf(arm, name))
}

/** Mean and percentile bootstrap over the values; the same values give the same interval. */
export function estimate(values: readonly number[]): Estimate | undefined {
  if (values.length === 0) return undefined
  const mean = average(values)
  if (values.length === 1) return { mean, low: mean, high: mean }
  const random = new Random(values.length, 'bootstrap')
  const means = Array.from({ length: resamples }, () => average(values.map(() => random.pick(values))))
  means.sort((a, b) => a - b)
  return { mean, low: quantile(means, 0.025), high: quantile(means, 0.975) }
}

export function reaches(measures: Measures, targets: Targets): boolean {
  const { redundantCallRate, neededCallRate } = measures
  if (redundantCallRate === undefined || neededCallRate === undefined) return false
  return redundantCallRate <= targets.redundantCallRate && neededCallRate >= targets.neededCallRate
}

export interface Reach {
  seeds: number
  reached: number
  /** Means over the seeds reach the targets. */
  onAverage: boolean
}

export function reachOf(arm: Arm, targets: Targets): Reach {
  const redundantCallRate = estimateOf(arm, 'redundantCallRate')?.mean
  const neededCallRate = estimateOf(arm, 'neededCallRate')?.mean
  const known = redundantCallRate !== undefined && neededCallRate !== undefined
  return {
    seeds: arm.results.length,
    reached: arm.results.filter(({ after }) => reaches(after, targets)).length,
    onAverage:
      known && reaches({ ...arm.results[0]?.after, redundantCallRate, neededCallRate } as Measures, targets),
  }
}

export interface CurvePoint extends Estimate {
  step: number
}

/** Of a measure while training, over the seeds that have the step. */
export function curveOfArm(arm: Arm, name: MeasureName): CurvePoint[] {
  return pointsByStep(
    arm.results.flatMap(({ curve }) => curve.map((point) => ({ step: point.step, value: point[name] }))),
  )
}

/** Of the training rollouts. */
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

function valuesOf(arm: Arm, name: MeasureName): number[] {
  return arm.results.flatMap(({ after }) => (after[name] === undefined ? [] : [after[name]]))
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Of sorted values, linear between neighbours. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)] as number
  const above = sorted[Math.ceil(at)] as number
  return below + (above - below) * (at - Math.floor(at))
}
