// Supervised training on conversations: the cold start before reinforcement learning. Only what the assistant
// writes is trained.

import { Described, InvalidOptionError } from '../core/option-error.js'
import { readOptions } from '../core/options.js'
import { timed } from '../core/seconds.js'
import { formatOf } from '../policy/calls/formats.js'
import { fingerprint, type RunState, toolFingerprint } from '../run/run-state.js'
import { type MaskedSequence, packSequences } from './batch.js'
import type { SupervisedMetrics } from './metrics.js'
import { PromptOrder } from './prompt-order.js'
import { checkRunOptions, type Progress, type RecordedStep, type RunOptions, runLoop } from './run-loop.js'
import { optimizerAt } from './schedule.js'
import {
  type ResolvedSupervisedOptions,
  type SupervisedTrainerOptions,
  supervisedOptions,
} from './supervised-options.js'
import { supervisedSequences, type TrainedConversation } from './supervised-sequences.js'
import type { TrainablePolicy } from './trainable-policy.js'

export interface SupervisedStep extends RecordedStep {
  metrics: SupervisedMetrics
}

export class SupervisedTrainer {
  readonly #options: ResolvedSupervisedOptions
  readonly #sequences: TrainedConversation[]
  readonly #order: PromptOrder
  /** The token that a turn trained 'without-calls' leaves out of the softmax. */
  readonly #excluded: { excludedToken?: number }
  /** Steps of the whole run. */
  readonly steps: number

  constructor(options: SupervisedTrainerOptions) {
    this.#options = readOptions(supervisedOptions, options)
    const { policy, seed } = this.#options
    this.#sequences = supervisedSequences(this.#options)
    this.#excluded = excludedBy(this.#sequences, policy)
    this.#order = new PromptOrder(this.#sequences.length, seed)
    this.steps = this.#options.steps ?? this.#stepsOf(this.#options.epochs ?? 1)
  }

  run(options: RunOptions = {}): AsyncGenerator<SupervisedStep, void, void> {
    checkRunOptions(options)
    const { policy, output, checkpointEvery, keepCheckpoints, maxSkippedSteps, onWarning, loggers, index } =
      this.#options
    return runLoop<SupervisedStep>(
      {
        kind: 'supervised',
        policy,
        steps: this.steps,
        identity: this.#identity(),
        ...(this.#options.config !== undefined && { config: this.#options.config }),
        output,
        checkpointEvery,
        keepCheckpoints,
        maxSkippedSteps,
        onWarning,
        loggers,
        index,
        takeStep: (step, progress) => this.#step(step, progress),
      },
      options,
    )
  }

  async #step(step: number, progress: Progress): Promise<SupervisedStep> {
    const batch = this.#batchAt(progress.position)
    progress.position += batch.length
    const seconds = { train: 0 }
    const optimizer = optimizerAt(step, this.steps, this.#options.optimizer)
    const result = await timed(seconds, 'train', () =>
      this.#options.policy.supervisedStep({ ...packSequences(batch), ...this.#excluded }, optimizer),
    )
    progress.skips.record(result.skipped)
    const metrics = {
      step,
      epoch: Math.floor((progress.position - 1) / this.#sequences.length),
      loss: result.supervisedLoss,
      gradientNorm: result.gradientNorm,
      learningRate: optimizer.learningRate,
      conversations: batch.length,
      tokens: result.tokens,
      trainedTokens: result.trainedTokens,
      controlTokensInText: batch.reduce((sum, conversation) => sum + conversation.controlTokensInText, 0),
      skipped: result.skipped,
      skippedSteps: progress.skips.state.total,
      tokensPerSecond: result.tokens / seconds.train,
      seconds,
    }
    return { step, metrics }
  }

  /** Conversations from `position` of the shuffled epochs on, up to tokensPerStep; always at least one. */
  #batchAt(position: number): TrainedConversation[] {
    const batch: TrainedConversation[] = []
    let tokens = 0
    for (;;) {
      const next = this.#sequences[this.#order.at(position + batch.length)] as TrainedConversation
      tokens += next.tokens.length
      if (batch.length > 0 && tokens > this.#options.tokensPerStep) return batch
      batch.push(next)
      // A step never takes a conversation twice.
      if (batch.length === this.#sequences.length) return batch
    }
  }

  /** Steps until `epochs` have been seen, counted by walking the same batches that training will take. */
  #stepsOf(epochs: number): number {
    const end = Math.ceil(epochs * this.#sequences.length)
    let steps = 0
    for (let position = 0; position < end; steps++) position += this.#batchAt(position).length
    return steps
  }

  #identity(): RunState['identity'] {
    const { seed, tokensPerStep, optimizer, conversations, tools } = this.#options
    return {
      seed,
      tokensPerStep,
      optimizer,
      ...(optimizer.schedule === 'cosine' && { steps: this.steps }),
      // The same data in another place is the same.
      conversations: fingerprint(conversations.map(({ source: _, ...conversation }) => conversation)),
      tools: toolFingerprint(tools),
    }
  }
}

function excludedBy(
  sequences: readonly MaskedSequence[],
  policy: TrainablePolicy,
): { excludedToken?: number } {
  if (!sequences.some(({ mask }) => Array.from(mask).includes(2))) return {}
  const { name, opening, beginsAll } = formatOf(policy.template)
  if (!beginsAll) {
    throw new InvalidOptionError(
      'conversations',
      'free of turns that are trained "without-calls" where calls begin with no token of their own',
      new Described(`some, with calls in ${name} format`),
    )
  }
  const excludedToken = policy.tokenizer.tokenId(opening)
  if (excludedToken === undefined) {
    throw new InvalidOptionError(
      'conversations',
      `free of turns that are trained "without-calls" where ${opening} is not one token of the vocabulary`,
      new Described('some'),
    )
  }
  return { excludedToken }
}
