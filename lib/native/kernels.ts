// The HDPO kernels by themselves, for other trainers, tests and curiosity; the algorithm is in docs/algorithm.md. They run on a
// thread of their own: typed arrays of the kind the native side uses (Float32Array, Int32Array, Uint8Array) are read where they
// are, so neither change nor transfer them before the promise settles. Other arrays are copied.
//
// Arguments that cannot be right reject with a TypeError or RangeError that names them. Numbers that a model computes (logits,
// logprobs, hidden states, weights) are taken as they come: what is not finite among them shows as a loss that is not finite.
// One exception has a meaning: a logit of -Infinity is a token that cannot be drawn.
//
// All of them run on a GPU with `device: 'cuda'`, and reject with ERR_DEVICE where there is none.
import { inspect } from 'node:util'
import { fromNative, loadAddon } from './addon.js'
import {
  type Flags,
  lowestInteger,
  type Numbers,
  toCosts,
  toFiniteFloats,
  toFlags,
  toFloats,
  toIntegers,
} from './kernels/arrays.js'
import { checkDevice } from './kernels/device.js'
import { checkCount, checkNumber, resolveLossOptions } from './kernels/loss-options.js'
import type { Device, LinearPolicyLossResult, PolicyLossOptions, PolicyLossResult } from './types.js'

export type { Flags, Numbers } from './kernels/arrays.js'

export interface GroupAdvantagesInput {
  /** Rollouts with the same id (any int32, in any order) answered the same prompt. */
  groupIds: Numbers
  accuracyRewards: Numbers
  correct: Flags
  /** Integers from 0. Give these or toolCosts. */
  toolCalls?: Numbers
  /** What the calls of a rollout cost together, at least 0: the efficiency reward is 1 / (1 + cost) then. */
  toolCosts?: Numbers
  /** Added to the standard deviation. Default 1e-6. */
  epsilon?: number
  /** Default true; false leaves the division by the standard deviation out (Dr. GRPO). */
  scaleByStd?: boolean
  /** Default 'cpu'; 'auto' takes a GPU where one works. */
  device?: Device
}

export interface GroupAdvantages {
  /** 1 / (toolCalls + 1), or 1 / (1 + toolCosts), where correct, else 0. */
  efficiencyRewards: Float32Array
  accuracyAdvantages: Float32Array
  /** Over the right rollouts of a group; 0 for the others, and for all where fewer than two are right. */
  efficiencyAdvantages: Float32Array
}

/** N tokens of S sequences laid end to end. */
interface LossTokens extends PolicyLossOptions {
  vocabSize: number
  /** [N] the token that row i of the logits is the distribution of. */
  targets: Numbers
  /** [N] 1 where the token is trained: sampled by the policy. */
  lossMask: Flags
  /** [S] lengths, which add up to N. */
  sequenceLengths: Numbers
  /** [N] under the policy that sampled the tokens. Of tokens that are not trained, any value. */
  oldLogprobs: Numbers
  /** [N] needed for klCoefficient. */
  referenceLogprobs?: Numbers | null
  /** [S] */
  accuracyAdvantages: Numbers
  /** [S] sequences whose value is 0 take no part in the efficiency channel. */
  efficiencyAdvantages: Numbers
}

export interface PolicyLossInput extends LossTokens {
  /** [N * vocabSize] row by row, before the division by the temperature. */
  logits: Numbers
  /** Default 'cpu'; 'auto' takes a GPU where one works. */
  device?: Device
}

export interface LinearPolicyLossInput extends LossTokens {
  hiddenSize: number
  /** [N * hiddenSize] */
  hidden: Numbers
  /** [vocabSize * hiddenSize]: logits = hidden * weight^T. */
  weight: Numbers
  /** Default 'cpu'; 'auto' takes a GPU where one works. */
  device?: Device
}

export const kernels = { groupAdvantages, policyLoss, linearPolicyLoss }

/** Both advantages of every rollout. */
async function groupAdvantages(input: GroupAdvantagesInput): Promise<GroupAdvantages> {
  checkObject(input)
  const groupIds = toIntegers('groupIds', input.groupIds, lowestInteger)
  const perRollout = { count: groupIds.length, of: 'one a rollout as groupIds' }
  const scaleByStd = input.scaleByStd ?? true
  if (typeof scaleByStd !== 'boolean') {
    throw new TypeError(`scaleByStd: must be true or false, got ${inspect(scaleByStd)}`)
  }
  if (input.toolCalls !== undefined && input.toolCosts !== undefined) {
    throw new TypeError('toolCalls, toolCosts: give one of them, got both')
  }
  const native = {
    device: checkDevice(input.device),
    groupIds,
    accuracyRewards: toFiniteFloats('accuracyRewards', input.accuracyRewards, perRollout),
    correct: toFlags('correct', input.correct, perRollout),
    ...(input.toolCosts === undefined
      ? { toolCalls: toIntegers('toolCalls', input.toolCalls, 0, perRollout) }
      : { toolCosts: toCosts('toolCosts', input.toolCosts, perRollout) }),
    epsilon: checkNumber('epsilon', input.epsilon ?? 1e-6, 0, 1e30),
    scaleByStd,
  }
  return fromNative(loadAddon().kernels.groupAdvantages(native))
}

/**
 * Loss and gradients from logits: the plain formulation, in float64 inside on the CPU. Memory and time grow with tokens * vocabSize.
 */
async function policyLoss(input: PolicyLossInput): Promise<PolicyLossResult> {
  const tokens = lossTokens(input)
  const device = checkDevice(input.device)
  const count = tokens.targets.length * tokens.vocabSize
  const logits = toFloats('logits', input.logits, { count, of: 'targets times vocabSize' })
  return fromNative(loadAddon().kernels.policyLoss({ ...tokens, logits, device }))
}

/** Loss and gradients from hidden states and the last projection, in chunks of tokens: the logits never exist as a whole. */
async function linearPolicyLoss(input: LinearPolicyLossInput): Promise<LinearPolicyLossResult> {
  const tokens = lossTokens(input)
  const device = checkDevice(input.device)
  const hiddenSize = checkCount('hiddenSize', input.hiddenSize)
  const hidden = toFloats('hidden', input.hidden, {
    count: tokens.targets.length * hiddenSize,
    of: 'targets times hiddenSize',
  })
  const weight = toFloats('weight', input.weight, {
    count: tokens.vocabSize * hiddenSize,
    of: 'vocabSize times hiddenSize',
  })
  return fromNative(loadAddon().kernels.linearPolicyLoss({ ...tokens, hiddenSize, hidden, weight, device }))
}

function lossTokens(input: LossTokens) {
  checkObject(input)
  const options = resolveLossOptions(input)
  const vocabSize = checkCount('vocabSize', input.vocabSize)
  const targets = toIntegers('targets', input.targets, 0)
  const tooLarge = targets.findIndex((target) => target >= vocabSize)
  if (tooLarge >= 0) {
    throw new RangeError(
      `targets[${tooLarge}]: must be less than vocabSize, ${vocabSize}, got ${targets[tooLarge]}`,
    )
  }
  const perToken = { count: targets.length, of: 'one a token as targets' }
  const sequenceLengths = toIntegers('sequenceLengths', input.sequenceLengths, 0)
  const total = sequenceLengths.reduce((sum, length) => sum + length, 0)
  if (total !== targets.length) {
    throw new RangeError(
      `sequenceLengths: must add up to ${targets.length}, the length of targets, got ${total}`,
    )
  }
  const perSequence = { count: sequenceLengths.length, of: 'one a sequence as sequenceLengths' }
  const reference = input.referenceLogprobs ?? undefined
  if (reference === undefined && options.klCoefficient !== 0) {
    throw new TypeError(
      `referenceLogprobs: needed where klCoefficient is not 0, got ${inspect(input.referenceLogprobs)}`,
    )
  }
  return {
    vocabSize,
    targets,
    lossMask: toFlags('lossMask', input.lossMask, perToken),
    sequenceLengths,
    oldLogprobs: toFloats('oldLogprobs', input.oldLogprobs, perToken),
    ...(reference !== undefined && { referenceLogprobs: toFloats('referenceLogprobs', reference, perToken) }),
    accuracyAdvantages: toFiniteFloats('accuracyAdvantages', input.accuracyAdvantages, perSequence),
    efficiencyAdvantages: toFiniteFloats('efficiencyAdvantages', input.efficiencyAdvantages, perSequence),
    options,
  }
}

function checkObject(input: unknown): void {
  if (typeof input === 'object' && input !== null) return
  throw new TypeError(`input: must be an object with the kernel's arguments by name, got ${inspect(input)}`)
}
