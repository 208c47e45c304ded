// The reference values of test/golden: inputs and float64 results for every rule of docs/algorithm.md.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GroupAdvantages, GroupAdvantagesInput, PolicyLossInput } from '../../lib/native/kernels.js'

type NumbersOf<Result> = { [Key in keyof Result]: Result[Key] extends number ? number : number[] }

export interface AdvantagesCase extends GroupAdvantagesInput {
  name: string
  expected: NumbersOf<GroupAdvantages>
}

export interface PolicyLossCase extends PolicyLossInput {
  name: string
  logits: number[]
  targets: number[]
  lossMask: number[]
  expected: {
    loss: number
    accuracyLoss: number
    efficiencyLoss: number
    kl: number
    logprobs: number[]
    gradLogprobs: number[]
    gradLogits: number[]
    entropy: number[]
  }
}

function readCases<Case>(file: string): Case[] {
  return (JSON.parse(readFileSync(join(import.meta.dirname, '../golden', file), 'utf8')) as { cases: Case[] })
    .cases
}

export const advantagesCases = () => readCases<AdvantagesCase>('advantages.json')
export const policyLossCases = () => readCases<PolicyLossCase>('policy_loss.json')

/** Input of linearPolicyLoss with the identity matrix as weight: hidden states are the logits, and gradHidden is gradLogits. */
export function throughIdentity(input: PolicyLossCase) {
  const { name: _, expected: __, logits: hidden, ...rest } = input
  const { vocabSize } = rest
  const weight = new Float32Array(vocabSize * vocabSize)
  for (let token = 0; token < vocabSize; token++) weight[token * vocabSize + token] = 1
  return { ...rest, hidden, weight, hiddenSize: vocabSize }
}

/** gradWeight of that input: gradLogits^T * hidden. */
export function outerProduct({ vocabSize, targets, logits, expected }: PolicyLossCase): Float64Array {
  const sums = new Float64Array(vocabSize * vocabSize)
  for (let token = 0; token < targets.length; token++) {
    const row = token * vocabSize
    for (let out = 0; out < vocabSize; out++) {
      const grad = expected.gradLogits[row + out] as number
      if (grad === 0) continue
      for (let into = 0; into < vocabSize; into++) {
        sums[out * vocabSize + into] =
          (sums[out * vocabSize + into] as number) + grad * (logits[row + into] as number)
      }
    }
  }
  return sums
}

/** Largest |found - expected|; infinite if one is not finite or the lengths differ. */
export function largestDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  return largest(found, expected, () => 1)
}

/** Largest |found - expected| / max(|expected|, floor). */
export function largestRelativeDifference(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  floor: number,
): number {
  return largest(found, expected, (value) => Math.max(Math.abs(value), floor))
}

function largest(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  unit: (expected: number) => number,
): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let index = 0; index < expected.length; index++) {
    const value = expected[index] as number
    const difference = Math.abs((found[index] as number) - value) / unit(value)
    if (!Number.isFinite(difference)) return Number.POSITIVE_INFINITY
    worst = Math.max(worst, difference)
  }
  return worst
}
