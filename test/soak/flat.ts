// Whether something stays flat: the slope of a line through the measurements after the warm-up, with its uncertainty.
import type { Held } from './soak.js'

export interface Slope {
  name: string
  /** Per 1,000 rollouts. */
  slope: number
  /** Twice the standard error of the slope. */
  uncertainty: number
  /** The largest slope that passes. */
  limit: number
  flat: boolean
}

/**
 * The server remembers the ids of the last 4,096 rollouts that ended (two thirds of the clients start one), and pools and caches
 * grow to their size: what is measured before the 8,000th client, or in the first third, is warm-up.
 */
export function afterWarmUp(held: readonly Held[]): readonly Held[] {
  const last = held.at(-1)?.rollouts ?? 0
  return held.filter(({ rollouts }) => rollouts > Math.max(8000, last / 3))
}

/**
 * What every rollout would leave behind is at least its record: some 100 tokens with masks and logprobs, messages and an id are
 * 2 KB or more of heap, which is 2 MB per 1,000 rollouts; its cached keys and values would be ten times that. Of what is measured
 * exactly a sixteenth passes, of resident memory, which wanders by fragments, half. Files and handles may not rise.
 */
const limits: Partial<Record<keyof Held, number>> = {
  rss: 2 ** 20,
  heap: 2 ** 17,
  external: 2 ** 17,
  arrayBuffers: 2 ** 17,
  kv: 2 ** 14,
  sequences: 0.5,
  files: 0.5,
  handles: 0.5,
}

/** A slope passes where it is not above its limit with certainty, so that noise alone fails nothing. None for under three measurements. */
export function slopes(held: readonly Held[]): Slope[] {
  const measured = afterWarmUp(held)
  if (measured.length < 3) return []
  return Object.entries(limits).map(([name, limit]) => {
    const values = measured.map((each) => each[name as keyof Held])
    const { slope, uncertainty } = fit(
      measured.map(({ rollouts }) => rollouts / 1000),
      values,
    )
    return { name, slope, uncertainty, limit, flat: slope - uncertainty <= limit }
  })
}

/** Least squares; at least three points. */
export function fit(xs: readonly number[], ys: readonly number[]): { slope: number; uncertainty: number } {
  const count = xs.length
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / count
  const [meanX, meanY] = [mean(xs), mean(ys)]
  const spread = xs.reduce((sum, x) => sum + (x - meanX) ** 2, 0)
  const slope = xs.reduce((sum, x, index) => sum + (x - meanX) * ((ys[index] as number) - meanY), 0) / spread
  const residual = ys.reduce(
    (sum, y, index) => sum + (y - meanY - slope * ((xs[index] as number) - meanX)) ** 2,
    0,
  )
  return { slope, uncertainty: 2 * Math.sqrt(residual / (count - 2) / spread) }
}
