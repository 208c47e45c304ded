import { describe, expect, it } from 'vitest'
import type { PolicyBatch } from '../../lib/native/types.js'
import { rolloutDrift, weighByImportance } from '../../lib/trainer/importance.js'

const batch: PolicyBatch = {
  tokens: Int32Array.of(5, 6, 7, 8),
  offsets: Int32Array.of(0, 4),
  mask: Uint8Array.of(0, 1, 1, 1),
  oldLogprobs: Float32Array.of(0, -2, -1, -3),
  accuracyAdvantages: Float32Array.of(1),
  efficiencyAdvantages: Float32Array.of(0),
}
const trained = Float32Array.of(0, -2, -1.5, -1)

describe('importance weights', () => {
  it('are the ratio of the trained model to the one that sampled, cut at the cap', () => {
    const { importanceWeights, oldLogprobs } = weighByImportance(batch, trained, 2)
    expect(oldLogprobs).toBe(trained)
    expect(Array.from(importanceWeights as Float32Array)).toEqual([1, 1, Math.fround(Math.exp(-0.5)), 2])
  })

  it('say how far apart the two were', () => {
    const drift = rolloutDrift([batch], [weighByImportance(batch, trained, 2)], 2)
    expect(drift.meanDifference).toBeCloseTo(2.5 / 3, 6)
    expect(drift.largestDifference).toBeCloseTo(2, 6)
    expect(drift.meanWeight).toBeCloseTo((3 + Math.exp(-0.5)) / 3, 6)
    expect(drift.capped).toBeCloseTo(1 / 3, 6)
  })

  it('are 1 without drift, and of no tokens', () => {
    const drift = rolloutDrift([batch], [weighByImportance(batch, batch.oldLogprobs, 2)], 2)
    expect(drift).toEqual({ meanDifference: 0, largestDifference: 0, meanWeight: 1, capped: 0 })
    expect(rolloutDrift([], [], 2).meanWeight).toBe(1)
  })
})
