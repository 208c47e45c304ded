// Logprobs of a rollout's tokens right before the policy learnt from them: with the sampled logprobs they give the ratio of the loss,
// and so each token's gradient in each channel (hdpo/token-weight.ts).
import { tokenSequences } from '../rollout/token-sequences.js'
import type { AdvantagedRollout } from './batch.js'

/** `logprobs` are those of the batch that packPolicyBatch made of the rollouts. Each sequence gets its part as `trainingLogprobs`. */
export function attachTrainingLogprobs(rollouts: readonly AdvantagedRollout[], logprobs: Float32Array): void {
  let offset = 0
  for (const sequence of rollouts.flatMap(tokenSequences)) {
    const end = offset + sequence.tokens.length
    Object.assign(sequence, { trainingLogprobs: logprobs.slice(offset, end) })
    offset = end
  }
}
