// Bootstrap confidence intervals: the statistic is computed on resamples, drawn with replacement from the sample's own items.
import { Random } from '../core/random.js'

const resamples = 2000

/** 95% percentile interval. The same items give the same interval; `stream` names the stream of random numbers for the draws. */
export function bootstrapInterval<Item>(
  items: readonly Item[],
  statistic: (drawn: readonly Item[]) => number,
  stream: string,
): { low: number; high: number } {
  const random = new Random(items.length, stream)
  const drawn = Array.from({ length: resamples }, () => statistic(items.map(() => random.pick(items))))
  drawn.sort((a, b) => a - b)
  return { low: quantile(drawn, 0.025), high: quantile(drawn, 0.975) }
}

/** The nearest-rank quantile of sorted values, some of which may be infinite. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] as number
}
