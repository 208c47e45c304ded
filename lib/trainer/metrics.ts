// The metrics of a step: one object, which is one line of metrics.jsonl. Rates and shares are 0 to 1.

import { HdpoError } from '../core/errors.js'
import type { EvaluationSummary } from '../evaluation/evaluate.js'
import { type GradedMetrics, mean } from '../evaluation/metrics.js'
import type { Advantages } from '../hdpo/algorithms.js'
import type { StepResult } from '../native/types.js'
import type { RolloutDrift } from './importance.js'

export interface LossMetrics {
  loss: number
  accuracyLoss: number
  efficiencyLoss: number
  kl: number
  /** Mean over pushed tokens. */
  entropy: number
  clippedLow: number
  clippedHigh: number
  dualClipped: number
  gradientNorm: number
  /** Largest |logprob while training - logprob while sampling| over pushed tokens before the step's first update. */
  logprobDifference: number
  trainedTokens: number
  /** Trained tokens of rollouts whose loss has a gradient; rollouts without one are not computed. */
  pushedTokens: number
  tokens: number
}

export interface PhaseSeconds {
  rollout: number
  advantages: number
  train: number
  evaluate: number
}

/** Standard deviations over all graded rollouts: how much a channel's advantages differ. */
export interface AdvantageSpread {
  accuracyAdvantageSpread: number
  /** 0 if no group has two right rollouts that cost differently. */
  efficiencyAdvantageSpread: number
}

export interface StepMetrics extends GradedMetrics, AdvantageSpread, LossMetrics {
  step: number
  epoch: number
  learningRate: number
  /** Loss or gradient was not finite, or nothing could be graded: the step changed nothing. */
  skipped: boolean
  /** Skipped steps of the run so far. */
  skippedSteps: number
  /** Sampled tokens per second of the rollout phase. */
  tokensPerSecond: number
  /** Share of the rollout phase in which the engine had nothing to do: all rollouts waited on tools, an agent or the reward. */
  engineIdleShare: number
  seconds: PhaseSeconds
  /** Only with importanceCap. */
  drift?: RolloutDrift
  /** Only on steps that evaluate. */
  evaluation?: EvaluationSummary
  /** The answer reward's report on its work in this process so far: a judge's requests, agreement. */
  reward?: Record<string, number>
}

export interface SupervisedMetrics {
  step: number
  epoch: number
  loss: number
  gradientNorm: number
  learningRate: number
  conversations: number
  tokens: number
  trainedTokens: number
  /** Control tokens that texts of the step's conversations spell out, and that are encoded as ordinary text. */
  controlTokensInText: number
  skipped: boolean
  skippedSteps: number
  tokensPerSecond: number
  seconds: { train: number }
}

export function advantageSpread(groups: readonly (readonly Advantages[])[]): AdvantageSpread {
  const rollouts = groups.flat()
  return {
    accuracyAdvantageSpread: deviation(rollouts, ({ accuracyAdvantage }) => accuracyAdvantage),
    efficiencyAdvantageSpread: deviation(rollouts, ({ efficiencyAdvantage }) => efficiencyAdvantage),
  }
}

/** The loss of a step that made no update, because none of its rollouts could be graded. */
export const noLoss: LossMetrics = {
  loss: 0,
  accuracyLoss: 0,
  efficiencyLoss: 0,
  kl: 0,
  entropy: 0,
  clippedLow: 0,
  clippedHigh: 0,
  dualClipped: 0,
  gradientNorm: 0,
  logprobDifference: 0,
  trainedTokens: 0,
  pushedTokens: 0,
  tokens: 0,
}

/**
 * One step's numbers from those of its updates: means are weighted by trained tokens, the mean entropy by pushed tokens;
 * logprobDifference is the first update's.
 */
export function lossMetrics(updates: readonly StepResult[]): LossMetrics {
  const [first] = updates
  if (!first) throw new HdpoError('ERR_INTERNAL', 'a step without updates')
  const total = (value: (update: StepResult) => number) =>
    updates.reduce((sum, update) => sum + value(update), 0)
  const weighted = (
    value: (update: StepResult) => number,
    weight = ({ trainedTokens }: StepResult) => trainedTokens,
  ) => {
    const weights = total(weight)
    if (updates.length === 1 || weights === 0) return value(first)
    return total((update) => value(update) * weight(update)) / weights
  }
  return {
    loss: weighted((update) => update.loss),
    accuracyLoss: weighted((update) => update.accuracyLoss),
    efficiencyLoss: weighted((update) => update.efficiencyLoss),
    kl: weighted((update) => update.kl),
    entropy: weighted(
      (update) => update.entropy,
      ({ pushedTokens }) => pushedTokens,
    ),
    clippedLow: weighted((update) => update.clippedLow),
    clippedHigh: weighted((update) => update.clippedHigh),
    dualClipped: weighted((update) => update.dualClipped),
    gradientNorm: weighted((update) => update.gradientNorm),
    logprobDifference: first.logprobDifference,
    trainedTokens: total((update) => update.trainedTokens),
    pushedTokens: total((update) => update.pushedTokens),
    tokens: total((update) => update.tokens),
  }
}

function deviation<Item>(items: readonly Item[], value: (item: Item) => number): number {
  const center = mean(items, value)
  return Math.sqrt(mean(items, (item) => (value(item) - center) ** 2))
}
