// How hard one channel of the loss pushes one sampled token: -dl/dlogp of the clipped surrogate
// (docs/algorithm.md, "Loss"). It is A * ratio where nothing is clipped, and 0 where the clip or the dual
// clip holds the token. The mini-batch's denominator, which is the same for all its tokens, is left out.

import type { ResolvedLossOptions } from '../native/loss-options.js'

export type ClipRange = Pick<ResolvedLossOptions, 'clipLow' | 'clipHigh' | 'dualClip'>

/** ratio = exp(clamp(logp - old_logp, -20, 20)) */
export function tokenRatio(trainingLogprob: number, sampledLogprob: number): number {
  return Math.exp(Math.min(20, Math.max(-20, trainingLogprob - sampledLogprob)))
}

/** Positive: the token becomes likelier. */
export function tokenGradientWeight(advantage: number, ratio: number, clip: ClipRange): number {
  const { clipLow, clipHigh, dualClip } = clip
  if (advantage > 0) return ratio > 1 + clipHigh ? 0 : advantage * ratio
  if (advantage < 0) return ratio < 1 - clipLow || ratio > dualClip ? 0 : advantage * ratio
  return 0
}
