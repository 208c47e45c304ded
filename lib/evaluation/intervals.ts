// Measures of an evaluation with confidence intervals. Rollouts of one question are alike, so questions are resampled, not rollouts.
import { bootstrapInterval } from './bootstrap.js'

/** A ratio of sums over questions: right rollouts to rollouts, calls to right answers ... */
export interface QuestionSums {
  numerator: number
  denominator: number
}

export interface Interval {
  value: number
  /** Bounds of the 95% interval. */
  low: number
  high: number
}

const z95 = 1.959964

/**
 * `share`: the ratio is from 0 to 1. If all questions agree, resampling them shows no spread: the interval is then Wilson's for as
 * many independent draws as there are questions. Undefined if the denominator is 0.
 */
export function ratioInterval(
  sums: readonly QuestionSums[],
  { share }: { share: boolean },
): Interval | undefined {
  const counted = sums.filter(({ denominator, numerator }) => denominator > 0 || numerator > 0)
  const value = ratio(counted)
  if (value === undefined) return undefined
  if (share && (value <= 0 || value >= 1)) return { value, ...wilson(value, counted.length) }
  // If a resample has no right answer, its calls per right answer are infinite.
  const ofSample = (drawn: readonly QuestionSums[]) => ratio(drawn) ?? Number.POSITIVE_INFINITY
  return { value, ...bootstrapInterval(counted, ofSample, 'bootstrap over questions') }
}

/** 95% interval of a share seen in `draws` independent draws (Wilson 1927). */
export function wilson(share: number, draws: number): { low: number; high: number } {
  const square = z95 ** 2 / draws
  const middle = (share + square / 2) / (1 + square)
  const half = (z95 * Math.sqrt((share * (1 - share)) / draws + square / (4 * draws))) / (1 + square)
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) }
}

function ratio(sums: readonly QuestionSums[]): number | undefined {
  const denominator = sums.reduce((sum, each) => sum + each.denominator, 0)
  return denominator > 0 ? sums.reduce((sum, each) => sum + each.numerator, 0) / denominator : undefined
}
