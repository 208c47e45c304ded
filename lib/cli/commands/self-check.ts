// Runs the native kernels on a small random case and compares with the formulas (docs: HDPO) computed here in
// float64.

import { Random } from '../../core/random.js'
import type { NativeKernels } from '../../native/addon.js'

export interface SelfCheck {
  name: string
  /** Largest difference; relative to the reference where that is above 1. */
  difference: number
  allowed: number
}

export async function runSelfChecks(kernels: NativeKernels): Promise<SelfCheck[]> {
  return [await checkAdvantages(kernels), ...(await checkPolicyLoss(kernels))]
}

const groups = 6
const groupSize = 8
const epsilon = 1e-6

async function checkAdvantages(kernels: NativeKernels): Promise<SelfCheck> {
  const random = new Random(1, 'self-check advantages')
  const rollouts = groups * groupSize
  const groupIds = Int32Array.from({ length: rollouts }, (_, index) => index % groups)
  const correct = Uint8Array.from({ length: rollouts }, () => random.integer(0, 1))
  const toolCalls = Int32Array.from({ length: rollouts }, () => random.integer(0, 4))
  const accuracyRewards = Float32Array.from(correct, (right) => 0.9 * right + 0.1 * random.integer(0, 1))
  const native = await kernels.groupAdvantages({
    groupIds,
    accuracyRewards,
    correct,
    toolCalls,
    epsilon,
    scaleByStd: true,
  })
  const accuracy = new Float64Array(rollouts)
  const efficiency = new Float64Array(rollouts)
  for (let group = 0; group < groups; group++) {
    const members = [...groupIds.keys()].filter((index) => groupIds[index] === group)
    const qualifying = members.filter((index) => correct[index] === 1)
    normalise(members, accuracyRewards, accuracy)
    if (qualifying.length >= 2) {
      const rewards = Float64Array.from(toolCalls, (calls) => 1 / (calls + 1))
      normalise(qualifying, rewards, efficiency)
    }
  }
  const difference = Math.max(
    largestDifference(native.accuracyAdvantages, accuracy),
    largestDifference(native.efficiencyAdvantages, efficiency),
  )
  return { name: 'groupAdvantages', difference, allowed: 1e-5 }
}

/** (reward - mean) / (unbiased deviation + epsilon) of the members, 0 where all are equal. */
function normalise(members: number[], rewards: ArrayLike<number>, into: Float64Array): void {
  const values = members.map((index) => rewards[index] as number)
  if (values.every((value) => value === values[0])) return
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const deviation = Math.sqrt(squares / (values.length - 1))
  members.forEach((index, place) => {
    into[index] = ((values[place] as number) - mean) / (deviation + epsilon)
  })
}

const options = {
  temperature: 0.8,
  aggregation: 'token-mean' as const,
  clipLow: 0.2,
  clipHigh: 0.28,
  dualClip: 3,
  accuracyWeight: 1,
  efficiencyWeight: 0.15,
  klCoefficient: 0,
  entropyCoefficient: 0,
}

async function checkPolicyLoss(kernels: NativeKernels): Promise<SelfCheck[]> {
  const random = new Random(2, 'self-check policy loss')
  const sequenceLengths = Int32Array.of(5, 9, 7)
  const tokens = 21
  const vocabSize = 37
  const draw = (scale: number) => scale * (2 * random.next() - 1)
  const logits = Float32Array.from({ length: tokens * vocabSize }, () => draw(3))
  const targets = Int32Array.from({ length: tokens }, () => random.integer(0, vocabSize - 1))
  const lossMask = Uint8Array.from({ length: tokens }, () => random.integer(0, 3) && 1)
  const logprobs = Float64Array.from(targets, (target, token) =>
    logprob(logits.subarray(token * vocabSize, (token + 1) * vocabSize), target),
  )
  const oldLogprobs = Float32Array.from(logprobs, (value) => value + draw(0.6))
  const accuracyAdvantages = Float32Array.of(1.1, -0.7, 0.4)
  const efficiencyAdvantages = Float32Array.of(0.9, 0, -0.9)
  const native = await kernels.policyLoss({
    logits,
    vocabSize,
    targets,
    lossMask,
    sequenceLengths,
    oldLogprobs,
    accuracyAdvantages,
    efficiencyAdvantages,
    options,
  })
  const inputs = { logprobs, oldLogprobs, lossMask, sequenceLengths }
  const accuracyLoss = channelLoss({ ...inputs, advantages: accuracyAdvantages }, () => true)
  const efficiencyLoss = channelLoss(
    { ...inputs, advantages: efficiencyAdvantages },
    (advantage) => advantage !== 0,
  )
  const trained = (values: ArrayLike<number>) =>
    Array.from(values).filter((_, token) => lossMask[token] === 1)
  return [
    {
      name: 'policyLoss logprobs',
      difference: largestDifference(trained(native.logprobs), trained(logprobs)),
      allowed: 1e-5,
    },
    {
      name: 'policyLoss loss',
      difference: largestDifference(
        [native.accuracyLoss, native.efficiencyLoss, native.loss],
        [accuracyLoss, efficiencyLoss, accuracyLoss + options.efficiencyWeight * efficiencyLoss],
      ),
      allowed: 1e-5,
    },
  ]
}

function logprob(logits: Float32Array, target: number): number {
  const scaled = Array.from(logits, (logit) => logit / options.temperature)
  const top = Math.max(...scaled)
  return (
    (scaled[target] as number) - top - Math.log(scaled.reduce((sum, value) => sum + Math.exp(value - top), 0))
  )
}

interface ChannelInputs {
  logprobs: Float64Array
  oldLogprobs: Float32Array
  lossMask: Uint8Array
  sequenceLengths: Int32Array
  advantages: Float32Array
}

/** Token mean of the clipped surrogate over the sequences that `counts` takes. */
function channelLoss(inputs: ChannelInputs, counts: (advantage: number) => boolean): number {
  let sum = 0
  let trained = 0
  let token = 0
  inputs.sequenceLengths.forEach((length, sequence) => {
    const advantage = inputs.advantages[sequence] as number
    for (const end = token + length; token < end; token++) {
      if (inputs.lossMask[token] !== 1 || !counts(advantage)) continue
      const difference = (inputs.logprobs[token] as number) - (inputs.oldLogprobs[token] as number)
      sum += surrogate(advantage, Math.exp(Math.min(Math.max(difference, -20), 20)))
      trained++
    }
  })
  return sum / trained
}

function surrogate(advantage: number, ratio: number): number {
  const clipped = Math.min(Math.max(ratio, 1 - options.clipLow), 1 + options.clipHigh)
  const loss = Math.max(-advantage * ratio, -advantage * clipped)
  return advantage < 0 ? Math.min(loss, -advantage * options.dualClip) : loss
}

function largestDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0
  for (let index = 0; index < expected.length; index++) {
    const reference = expected[index] as number
    const difference = Math.abs((found[index] as number) - reference) / Math.max(1, Math.abs(reference))
    // NaN has to count as wrong.
    largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference)
  }
  return largest
}
