// Supervised training on conversations: the cold start before reinforcement learning. Only what the assistant
// writes is trained.

import { checkCount, checkPositive, withoutUndefined } from '../core/option-checks.js'
import { timed } from '../core/seconds.js'
import type { RunLogger } from '../loggers/types.js'
import { formatOf } from '../policy/calls/formats.js'
import type { Message, ToolDescription } from '../policy/types.js'
import { fingerprint, type RunState } from '../run/run-state.js'
import { type MaskedSequence, packSequences } from './batch.js'
import type { SupervisedMetrics } from './metrics.js'
import { PromptOrder } from './prompt-order.js'
import { type Progress, type RecordedStep, type RunOptions, runLoop } from './run-loop.js'
import { checkOptimizerOptions, optimizerAt, type TrainerOptimizerOptions } from './schedule.js'
import type { TrainablePolicy } from './trainable-policy.js'

export interface Conversation {
  messages: Message[]
  /** Those that the assistant had in it, instead of the trainer's `tools`. */
  tools?: ToolDescription[]
}

export interface SupervisedTrainerOptions {
  policy: TrainablePolicy
  conversations: readonly Conversation[]
  /** Shown to the chat template with every conversation that has none of its own. */
  tools: readonly ToolDescription[]
  /** Passes over the conversations; parts of one are allowed. Give this or `steps`. */
  epochs?: number
  steps?: number
  /** A step takes conversations until the next one would go over this. */
  tokensPerStep: number
  optimizer: TrainerOptimizerOptions
  /** The run folder. */
  output: string
  /** Kept in the run folder as config.yaml, secrets redacted. Default: the options that a resumed run may not change. */
  config?: unknown
  /** Order of the conversations. Default 0. */
  seed?: number
  /** Steps between checkpoints. Default 100. The last step of a run is always saved. */
  checkpointEvery?: number
  /** Default 2. */
  keepCheckpoints?: number
  /** Default 5. */
  maxSkippedSteps?: number
  /** Where else the metrics go (lib/loggers). */
  loggers?: readonly RunLogger[]
  /** Keep run.sqlite up to date meanwhile, as TrainerOptions has it. Default true. */
  index?: boolean
  onWarning?: (message: string) => void
}

export interface SupervisedStep extends RecordedStep {
  metrics: SupervisedMetrics
}

const defaults = {
  seed: 0,
  checkpointEvery: 100,
  keepCheckpoints: 2,
  maxSkippedSteps: 5,
  loggers: [] as readonly RunLogger[],
  index: true,
  onWarning: (message: string) => process.emitWarning(message, 'HdpoWarning'),
}

export class SupervisedTrainer {
  readonly #options: SupervisedTrainerOptions & typeof defaults
  readonly #sequences: MaskedSequence[]
  readonly #order: PromptOrder
  /** What a turn trained 'without-calls' leaves out of the softmax. */
  readonly #excluded: { excludedToken?: number }
  /** Of the whole run. */
  readonly steps: number

  constructor(options: SupervisedTrainerOptions) {
    this.#options = { ...defaults, ...withoutUndefined(options) }
    checkSupervisedOptions(this.#options)
    const { policy, conversations, tools, seed } = this.#options
    this.#sequences = conversations.map((conversation, index) => {
      const sequence = policy.template.supervised(conversation.messages, [...(conversation.tools ?? tools)])
      if (sequence.tokens.length > policy.maxTokens) {
        throw new RangeError(
          `conversations[${index}] has ${sequence.tokens.length} tokens; the policy takes at most ${policy.maxTokens}`,
        )
      }
      return sequence
    })
    this.#excluded = excludedBy(this.#sequences, policy)
    this.#order = new PromptOrder(this.#sequences.length, seed)
    this.steps = this.#options.steps ?? this.#stepsOf(this.#options.epochs ?? 1)
  }

  run(options: RunOptions = {}): AsyncGenerator<SupervisedStep, void, void> {
    const { policy, output, checkpointEvery, keepCheckpoints, maxSkippedSteps, onWarning, loggers, index } =
      this.#options
    return runLoop<SupervisedStep>(
      {
        kind: 'supervised',
        policy,
        steps: this.steps,
        identity: this.#identity(),
        config: this.#options.config ?? this.#identity(),
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
      skipped: result.skipped,
      skippedSteps: progress.skips.state.total,
      tokensPerSecond: result.tokens / seconds.train,
      seconds,
    }
    return { step, metrics }
  }

  /** Conversations from `position` of the shuffled epochs on, up to tokensPerStep; always at least one. */
  #batchAt(position: number): MaskedSequence[] {
    const batch: MaskedSequence[] = []
    let tokens = 0
    for (;;) {
      const next = this.#sequences[this.#order.at(position + batch.length)] as MaskedSequence
      tokens += next.tokens.length
      if (batch.length > 0 && tokens > this.#options.tokensPerStep) return batch
      batch.push(next)
      // One step never takes a conversation twice.
      if (batch.length === this.#sequences.length) return batch
    }
  }

  /** Steps until `epochs` have been seen: walks the same batches that training will take. */
  #stepsOf(epochs: number): number {
    const end = Math.ceil(epochs * this.#sequences.length)
    let steps = 0
    for (let position = 0; position < end; steps++) position += this.#batchAt(position).length
    return steps
  }

  #identity(): RunState['identity'] {
    const { seed, tokensPerStep, optimizer, conversations } = this.#options
    return {
      seed,
      tokensPerStep,
      optimizer,
      ...(optimizer.schedule === 'cosine' && { steps: this.steps }),
      conversations: fingerprint(conversations),
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
    throw new RangeError(
      `conversations: trained "without-calls" needs calls that begin with a token of their own, which those in ${name} format do not`,
    )
  }
  const excludedToken = policy.tokenizer.tokenId(opening)
  if (excludedToken === undefined) {
    throw new RangeError(
      `conversations: trained "without-calls" needs ${opening} to be one token of the vocabulary`,
    )
  }
  return { excludedToken }
}

function checkSupervisedOptions(options: SupervisedTrainerOptions & typeof defaults): void {
  if (options.conversations.length === 0)
    throw new RangeError('conversations: at least one is needed, got none')
  if (options.epochs !== undefined && options.steps !== undefined) {
    throw new TypeError('give epochs or steps, not both')
  }
  if (options.epochs !== undefined) checkPositive('epochs', options.epochs)
  if (options.steps !== undefined) checkCount('steps', options.steps)
  for (const name of ['tokensPerStep', 'checkpointEvery', 'keepCheckpoints', 'maxSkippedSteps'] as const) {
    checkCount(name, options[name])
  }
  checkCount('seed', options.seed, 0)
  checkOptimizerOptions(options.optimizer)
}
