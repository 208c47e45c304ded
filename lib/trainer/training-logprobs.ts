// What a rollout's tokens were worth to the policy right before it learnt from them: with the sampled logprobs the ratio of the loss,
// and so each token's gradient in each channel (hdpo/token-weight.ts).
import { tokenSequences } from '../rollout/token-sequences.js'
import type { AdvantagedRollout } from './batch.js'

/** `logprobs`: of the batch that packPolicyBatch made of the same rollouts. Each sequence gets its own as `trainingLogprobs`. */
export function attachTrainingLogprobs(rollouts: readonly AdvantagedRollout[], logprobs: Float32Array): void {
  let offset = 0
  for (const sequence of rollouts.flatMap(tokenSequences)) {
    const end = offset + sequence.tokens.length
    Object.assign(sequence, { trainingLogprobs: logprobs.slice(offset, end) })
    offset = end
  }
}
