// Scores from 0 to 1 that were added up: 0.6 + 0.3 + 0.1 is 0.9999999999999999, and all that could be earned.

/** More than the rounding of any sum of weights, and less than any part of a score. */
const rounding = 1e-9

/** Whether a score is the full one, but for rounding: the answer then counts as right. */
export function isFullScore(score: number): boolean {
  return score >= 1 - rounding
}

/** 0 and 1 where a score differs from them by rounding alone; any other one as it is. */
export function withoutRounding(score: number): number {
  if (Math.abs(score - 1) <= rounding) return 1
  return Math.abs(score) <= rounding ? 0 : score
}
