// Corrects for rollouts that were sampled by another model than the trained one: the same weights read in int8 or bfloat16 (engine
// option generationPrecision). Truncated importance sampling multiplies each token's loss by w = min(cap, exp(logprob of the
// trained model before the step - logprob while sampling)), and the policy ratio is taken against the trained model:
//   L = mean of w * l(exp(logprob - logprob of the trained model before the step), A)
// where l is the policy loss of a token and A its advantage.
import type { PolicyBatch } from '../native/types.js'

/** How far the sampling model was from the trained model, over the trained tokens of a step. */
export interface RolloutDrift {
  /** Mean and largest |logprob of the trained model before the step - logprob while sampling|, nats. */
  meanDifference: number
  largestDifference: number
  /** Mean of the weights; 1 without drift. */
  meanWeight: number
  /** Share of tokens whose weight is capped. */
  capped: number
}

/** The batch with the corrected logprobs and weights. `trained`: logprobs of all its tokens under the trained model. */
export function weighByImportance(batch: PolicyBatch, trained: Float32Array, cap: number): PolicyBatch {
  const importanceWeights = new Float32Array(batch.tokens.length).fill(1)
  batch.mask.forEach((mask, token) => {
    if (mask === 0) return
    const difference = (trained[token] as number) - (batch.oldLogprobs[token] as number)
    importanceWeights[token] = Math.min(cap, Math.exp(difference))
  })
  return { ...batch, oldLogprobs: trained, importanceWeights }
}

/** Compares a step's batches as they were sampled with what weighByImportance made of them, in the same order. */
export function rolloutDrift(
  sampled: readonly PolicyBatch[],
  weighted: readonly PolicyBatch[],
  cap: number,
): RolloutDrift {
  let tokens = 0
  const sums = { difference: 0, weight: 0, capped: 0 }
  let largestDifference = 0
  sampled.forEach((batch, index) => {
    const { oldLogprobs, importanceWeights } = weighted[index] as PolicyBatch
    batch.mask.forEach((mask, token) => {
      if (mask === 0) return
      const difference = (oldLogprobs[token] as number) - (batch.oldLogprobs[token] as number)
      tokens += 1
      sums.difference += Math.abs(difference)
      sums.weight += importanceWeights?.[token] as number
      sums.capped += Number(Math.exp(difference) > cap)
      largestDifference = Math.max(largestDifference, Math.abs(difference))
    })
  })
  const share = (sum: number) => (tokens === 0 ? 0 : sum / tokens)
  return {
    meanDifference: share(sums.difference),
    largestDifference,
    meanWeight: tokens === 0 ? 1 : share(sums.weight),
    capped: share(sums.capped),
  }
}
