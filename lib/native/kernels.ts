// The HDPO kernels by themselves, for other trainers, tests and curiosity; the algorithm is in docs/algorithm.md. They run on a
// thread of their own, on a copy of the arrays: what a caller does with its own after the call (change, transfer, resize) changes no
// result. Typed arrays of the kind the native side uses (Float32Array, Int32Array, Uint8Array) are copied fastest.
//
// Arguments that cannot be right, unknown ones too, reject with an InvalidOptionError that names them. Numbers that a model computes (logits,
// logprobs, hidden states, weights) are taken as they come: values that are not finite show as a loss that is not finite.
// One exception has a meaning: a logit of -Infinity is a token that cannot be drawn.
//
// All of them run on a GPU with `device: 'cuda'`, and reject with ERR_DEVICE where there is none.
import { z } from 'zod'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { count, kind } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { fromNative, loadAddon } from './addon.js'
import { normalisationShape } from './kernels/advantage-options.js'
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
import { deviceShape } from './kernels/device.js'
import { lossShape, type ResolvedLossOptions } from './loss-options.js'
import type { LinearPolicyLossResult, PolicyLossResult } from './types.js'

export type { Flags, Numbers } from './kernels/arrays.js'

// Arrays are checked element by element further down (kernels/arrays.ts), with their lengths.
const isThere = (value: unknown) => value !== undefined && value !== null
const numbers = kind<Numbers>('a typed array or an array of numbers', isThere)
const flags = kind<Flags>('a typed array or an array of numbers', isThere)
const dimension = count.max(2 ** 31 - 1)

export const groupAdvantagesShape = {
  /** Rollouts with the same id (any int32, in any order) answered the same prompt. */
  groupIds: numbers,
  /** One for each rollout, as groupIds has them. */
  accuracyRewards: numbers,
  /** 1 or true where the rollout is right: those alone are compared for efficiency. */
  correct: flags,
  /** Integers from 0. Give these or toolCosts. */
  toolCalls: numbers.optional(),
  /** Total cost of each rollout's calls, at least 0: the efficiency reward is then 1 / (1 + cost). */
  toolCosts: numbers.optional(),
  ...normalisationShape,
  ...deviceShape,
}
const groupAdvantagesOptions = z
  .strictObject(groupAdvantagesShape)
  .refine(({ toolCalls, toolCosts }) => (toolCalls === undefined) !== (toolCosts === undefined), {
    path: ['toolCosts'],
    message: 'given where toolCalls is not, and left out where it is',
  })
export interface GroupAdvantagesInput extends OptionsOf<typeof groupAdvantagesShape> {}

export interface GroupAdvantages {
  /** 1 / (toolCalls + 1), or 1 / (1 + toolCosts), where correct, else 0. */
  efficiencyRewards: Float32Array
  accuracyAdvantages: Float32Array
  /** Over the right rollouts of a group; 0 for the others, and for all where fewer than two are right. */
  efficiencyAdvantages: Float32Array
}

/** N tokens of S sequences laid end to end. */
const lossTokensShape = {
  /** Tokens of the vocabulary. */
  vocabSize: dimension,
  /** [N] the token that row i of the logits predicts. */
  targets: numbers,
  /** [N] 1 where the token is trained: sampled by the policy. */
  lossMask: flags,
  /** [S] lengths, which add up to N. */
  sequenceLengths: numbers,
  /** [N] logprobs under the policy that sampled the tokens; any value for tokens that are not trained. */
  oldLogprobs: numbers,
  /** [N] logprobs under the reference, needed for klCoefficient. */
  referenceLogprobs: numbers.nullable().optional(),
  /** [S] */
  accuracyAdvantages: numbers,
  /** [S] sequences whose value is 0 take no part in the efficiency channel. */
  efficiencyAdvantages: numbers,
  ...lossShape,
  ...deviceShape,
}

export const policyLossShape = {
  ...lossTokensShape,
  /** [N * vocabSize] row by row, before the division by the temperature. */
  logits: numbers,
}
const policyLossOptions = z.strictObject(policyLossShape)
export interface PolicyLossInput extends OptionsOf<typeof policyLossShape> {}

export const linearPolicyLossShape = {
  ...lossTokensShape,
  /** Width of a hidden state. */
  hiddenSize: dimension,
  /** [N * hiddenSize] */
  hidden: numbers,
  /** [vocabSize * hiddenSize]: logits = hidden * weight^T. */
  weight: numbers,
}
const linearPolicyLossOptions = z.strictObject(linearPolicyLossShape)
export interface LinearPolicyLossInput extends OptionsOf<typeof linearPolicyLossShape> {}

export const kernels = { groupAdvantages, policyLoss, linearPolicyLoss }

/** Both advantages of every rollout. */
async function groupAdvantages(input: GroupAdvantagesInput): Promise<GroupAdvantages> {
  const given = readOptions(groupAdvantagesOptions, input)
  const groupIds = toIntegers('groupIds', given.groupIds, lowestInteger)
  const perRollout = { count: groupIds.length, of: 'one per rollout as groupIds' }
  const { device, epsilon, scaleByStd } = given
  const native = {
    device,
    groupIds,
    accuracyRewards: toFiniteFloats('accuracyRewards', given.accuracyRewards, perRollout),
    correct: toFlags('correct', given.correct, perRollout),
    ...(given.toolCosts === undefined
      ? { toolCalls: toIntegers('toolCalls', given.toolCalls, 0, perRollout) }
      : { toolCosts: toCosts('toolCosts', given.toolCosts, perRollout) }),
    epsilon,
    scaleByStd,
  }
  return fromNative(loadAddon().kernels.groupAdvantages(native))
}

/**
 * Loss and gradients from logits: the plain formulation, in float64 inside on the CPU. Memory and time grow with tokens * vocabSize.
 */
async function policyLoss(input: PolicyLossInput): Promise<PolicyLossResult> {
  const { logits: givenLogits, device, ...given } = readOptions(policyLossOptions, input)
  const tokens = lossTokens(given)
  const elements = tokens.targets.length * tokens.vocabSize
  const logits = toFloats('logits', givenLogits, { count: elements, of: 'targets times vocabSize' })
  return fromNative(loadAddon().kernels.policyLoss({ ...tokens, logits, device }))
}

/** Loss and gradients from hidden states and the last projection, in chunks of tokens: the logits never exist as a whole. */
async function linearPolicyLoss(input: LinearPolicyLossInput): Promise<LinearPolicyLossResult> {
  const {
    hidden: givenHidden,
    weight: givenWeight,
    hiddenSize,
    device,
    ...given
  } = readOptions(linearPolicyLossOptions, input)
  const tokens = lossTokens(given)
  const hidden = toFloats('hidden', givenHidden, {
    count: tokens.targets.length * hiddenSize,
    of: 'targets times hiddenSize',
  })
  const weight = toFloats('weight', givenWeight, {
    count: tokens.vocabSize * hiddenSize,
    of: 'vocabSize times hiddenSize',
  })
  return fromNative(loadAddon().kernels.linearPolicyLoss({ ...tokens, hiddenSize, hidden, weight, device }))
}

function lossTokens(input: Omit<ResolvedOptions<typeof lossTokensShape>, 'device'>) {
  const { vocabSize, targets: givenTargets, lossMask, sequenceLengths: givenLengths } = input
  const { oldLogprobs, referenceLogprobs, accuracyAdvantages, efficiencyAdvantages } = input
  const targets = toIntegers('targets', givenTargets, 0)
  const tooLarge = targets.findIndex((target) => target >= vocabSize)
  if (tooLarge >= 0) {
    throw new InvalidOptionError(
      `targets[${tooLarge}]`,
      `less than vocabSize, ${vocabSize}`,
      targets[tooLarge],
    )
  }
  const perToken = { count: targets.length, of: 'one per token as targets' }
  const sequenceLengths = toIntegers('sequenceLengths', givenLengths, 0)
  const total = sequenceLengths.reduce((sum, length) => sum + length, 0)
  if (total !== targets.length) {
    throw new InvalidOptionError(
      'sequenceLengths',
      `lengths that add up to ${targets.length}, the length of targets`,
      new Described(`a sum of ${total}`),
    )
  }
  const perSequence = { count: sequenceLengths.length, of: 'one per sequence as sequenceLengths' }
  const reference = referenceLogprobs ?? undefined
  if (reference === undefined && input.klCoefficient !== 0) {
    throw new InvalidOptionError('referenceLogprobs', 'given where klCoefficient is not 0', referenceLogprobs)
  }
  return {
    vocabSize,
    targets,
    lossMask: toFlags('lossMask', lossMask, perToken),
    sequenceLengths,
    oldLogprobs: toFloats('oldLogprobs', oldLogprobs, perToken),
    ...(reference !== undefined && { referenceLogprobs: toFloats('referenceLogprobs', reference, perToken) }),
    accuracyAdvantages: toFiniteFloats('accuracyAdvantages', accuracyAdvantages, perSequence),
    efficiencyAdvantages: toFiniteFloats('efficiencyAdvantages', efficiencyAdvantages, perSequence),
    options: lossPart(input),
  }
}

/** The options of the loss alone. */
function lossPart(input: ResolvedLossOptions): ResolvedLossOptions {
  const names = Object.keys(lossShape) as (keyof ResolvedLossOptions)[]
  return Object.fromEntries(names.map((name) => [name, input[name]])) as unknown as ResolvedLossOptions
}
