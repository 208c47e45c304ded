// Sequences laid end to end for one optimiser step (shapes: PackedSequences in native.ts).
import type { PackedSequences, PolicyBatch } from '../native.js'
import type { Trajectory } from '../rollout/types.js'

export interface AdvantagedTrajectory extends Pick<Trajectory, 'tokens' | 'mask' | 'logprobs'> {
  accuracyAdvantage: number
  efficiencyAdvantage: number
}

export interface MaskedSequence {
  tokens: ArrayLike<number>
  mask: ArrayLike<number>
}

/** Sequences in the order given; referenceLogprobs are added by the trainer where the KL term is on. */
export function packPolicyBatch(trajectories: readonly AdvantagedTrajectory[]): PolicyBatch {
  const packed = packSequences(trajectories)
  const oldLogprobs = new Float32Array(packed.tokens.length)
  trajectories.forEach((trajectory, index) => {
    oldLogprobs.set(trajectory.logprobs, packed.offsets[index])
  })
  return {
    ...packed,
    oldLogprobs,
    accuracyAdvantages: Float32Array.from(trajectories, (trajectory) => trajectory.accuracyAdvantage),
    efficiencyAdvantages: Float32Array.from(trajectories, (trajectory) => trajectory.efficiencyAdvantage),
  }
}

export function packSequences(sequences: readonly MaskedSequence[]): PackedSequences {
  const offsets = new Int32Array(sequences.length + 1)
  sequences.forEach((sequence, index) => {
    if (sequence.tokens.length !== sequence.mask.length) {
      throw new RangeError(
        `sequence ${index}: mask has ${sequence.mask.length} entries for ${sequence.tokens.length} tokens`,
      )
    }
    offsets[index + 1] = (offsets[index] as number) + sequence.tokens.length
  })
  const total = offsets[sequences.length] as number
  const tokens = new Int32Array(total)
  const mask = new Uint8Array(total)
  sequences.forEach((sequence, index) => {
    tokens.set(sequence.tokens, offsets[index])
    mask.set(sequence.mask, offsets[index])
  })
  return { tokens, offsets, mask }
}
