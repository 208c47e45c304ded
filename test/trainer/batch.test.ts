import { expect, it } from 'vitest'
import { packPolicyBatch, packSequences } from '../../lib/trainer/batch.js'

it('lays rollouts end to end in the order given', () => {
  const batch = packPolicyBatch([
    {
      tokens: Int32Array.of(1, 2, 3),
      mask: Uint8Array.of(0, 1, 1),
      logprobs: Float32Array.of(0, -0.5, -0.25),
      accuracyAdvantage: 1,
      efficiencyAdvantage: 0,
    },
    {
      tokens: Int32Array.of(4, 5),
      mask: Uint8Array.of(0, 1),
      logprobs: Float32Array.of(0, -2),
      accuracyAdvantage: -1,
      efficiencyAdvantage: 0.5,
    },
  ])
  expect(batch).toEqual({
    tokens: Int32Array.of(1, 2, 3, 4, 5),
    offsets: Int32Array.of(0, 3, 5),
    mask: Uint8Array.of(0, 1, 1, 0, 1),
    oldLogprobs: Float32Array.of(0, -0.5, -0.25, 0, -2),
    accuracyAdvantages: Float32Array.of(1, -1),
    efficiencyAdvantages: Float32Array.of(0, 0.5),
  })
})

it('refuses a mask of another length', () => {
  expect(() => packSequences([{ tokens: [1, 2], mask: [0] }])).toThrow(
    'sequence 0: mask has 1 entries for 2 tokens',
  )
})

it('gives every sequence of a split rollout the advantages of the rollout', () => {
  const batch = packPolicyBatch([
    {
      tokens: Int32Array.of(1, 2),
      mask: Uint8Array.of(0, 1),
      logprobs: Float32Array.of(0, -0.5),
      moreSequences: [
        { tokens: Int32Array.of(1, 3), mask: Uint8Array.of(0, 1), logprobs: Float32Array.of(0, -0.25) },
      ],
      accuracyAdvantage: 2,
      efficiencyAdvantage: 3,
    },
    {
      tokens: Int32Array.of(4),
      mask: Uint8Array.of(0),
      logprobs: Float32Array.of(0),
      accuracyAdvantage: -1,
      efficiencyAdvantage: 0,
    },
  ])
  expect(batch.offsets).toEqual(Int32Array.of(0, 2, 4, 5))
  expect(batch.tokens).toEqual(Int32Array.of(1, 2, 1, 3, 4))
  expect(batch.oldLogprobs).toEqual(Float32Array.of(0, -0.5, 0, -0.25, 0))
  expect(batch.accuracyAdvantages).toEqual(Float32Array.of(2, 2, -1))
  expect(batch.efficiencyAdvantages).toEqual(Float32Array.of(3, 3, 0))
})
