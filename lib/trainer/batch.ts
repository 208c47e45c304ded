// Sequences laid end to end for one optimiser step (shapes: PackedSequences in native/types.ts).
import { checkObject, checkObjects } from '../core/arguments.js'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import type { PackedSequences, PolicyBatch } from '../native/types.js'
import { tokenSequences } from '../rollout/token-sequences.js'
import type { Rollout } from '../rollout/types.js'

export interface AdvantagedRollout extends Pick<Rollout, 'tokens' | 'mask' | 'logprobs' | 'moreSequences'> {
  accuracyAdvantage: number
  efficiencyAdvantage: number
}

export interface MaskedSequence {
  tokens: ArrayLike<number>
  mask: ArrayLike<number>
}

/**
 * Sequences in the order given, those of one rollout side by side; the trainer adds referenceLogprobs if the KL term
 * is on.
 */
export function packPolicyBatch(rollouts: readonly AdvantagedRollout[]): PolicyBatch {
  checkObjects(rollouts, 'rollouts', 'a rollout with its advantages')
  for (const [index, rollout] of rollouts.entries()) checkRollout(rollout, `rollouts[${index}]`)
  const sequences = rollouts.flatMap((rollout) =>
    tokenSequences(rollout).map((sequence) => ({ sequence, rollout })),
  )
  const packed = packSequences(sequences.map(({ sequence }) => sequence))
  const oldLogprobs = new Float32Array(packed.tokens.length)
  sequences.forEach(({ sequence }, index) => {
    oldLogprobs.set(sequence.logprobs, packed.offsets[index])
  })
  return {
    ...packed,
    oldLogprobs,
    accuracyAdvantages: Float32Array.from(sequences, ({ rollout }) => rollout.accuracyAdvantage),
    efficiencyAdvantages: Float32Array.from(sequences, ({ rollout }) => rollout.efficiencyAdvantage),
  }
}

const parts = { tokens: 'object', mask: 'object', logprobs: 'object' } as const
const advantages = { accuracyAdvantage: 'number', efficiencyAdvantage: 'number' } as const

function checkRollout(rollout: AdvantagedRollout, name: string): void {
  checkObject(rollout, name, 'a rollout with tokens, mask and logprobs', parts)
  checkObject(rollout, name, 'a rollout with its advantages, which are numbers', advantages)
  const { tokens, mask, logprobs } = rollout
  const isLong = ({ length }: ArrayLike<number>) => Number.isSafeInteger(length) && length === tokens.length
  if (![tokens, mask, logprobs].every(isLong))
    throw new InvalidOptionError(
      name,
      'a rollout whose tokens, mask and logprobs are lists of one length',
      rollout,
    )
}

export function packSequences(sequences: readonly MaskedSequence[]): PackedSequences {
  const offsets = new Int32Array(sequences.length + 1)
  sequences.forEach((sequence, index) => {
    if (sequence.tokens.length !== sequence.mask.length) {
      throw new HdpoError(
        'ERR_INTERNAL',
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
