// Policy = native model and engine + tokenizer + chat template, and the folder all three are kept in (Hugging Face layout).
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../errors.js'
import {
  fromNative,
  type GenerationStats,
  loadAddon,
  type ModelConfig,
  type NativeEngine,
  type OptimizerOptions,
  type PackedSequences,
  type PolicyBatch,
  type PolicyLossOptions,
  type ProfileEntry,
  type StepResult,
} from '../native.js'
import { type ChatTemplateSource, createChatTemplate } from './chat-template.js'
import { formatModelConfig, readModelConfig } from './model-config.js'
import { NativeSequence } from './sequence.js'
import { loadTokenizer, type TokenizerFiles } from './tokenizer.js'
import type { ChatTemplate, RolloutPolicy, Sequence, Tokenizer } from './types.js'

export interface PolicyOptions {
  /** CPU threads; default: every core of this process. */
  threads?: number
  /** Memory for cached keys and values in bytes. Sequences beyond it wait. Default 128 MiB. */
  kvBudgetBytes?: number
  /** Tokens of one generation step. Default 256. */
  maxBatchRows?: number
  /** Run layers again in backward instead of keeping their activations: less memory, about a third more time. */
  recompute?: boolean
}

export interface PolicyDefinition extends PolicyOptions {
  config: ModelConfig
  tokenizer: TokenizerFiles
  template: ChatTemplateSource
  /** Seed of the initial weights. Default 0. */
  seed?: number
}

export class Policy implements RolloutPolicy {
  readonly config: ModelConfig
  readonly tokenizer: Tokenizer
  readonly template: ChatTemplate
  readonly #engine: NativeEngine
  readonly #definition: PolicyDefinition

  private constructor(definition: PolicyDefinition, tokenizer: Tokenizer, engine: NativeEngine) {
    this.config = definition.config
    this.tokenizer = tokenizer
    this.template = createChatTemplate(definition.template, tokenizer)
    this.#engine = engine
    this.#definition = definition
  }

  /** A policy with random weights. */
  static async create(definition: PolicyDefinition): Promise<Policy> {
    const tokenizer = loadTokenizer(definition.tokenizer)
    if (tokenizer.vocabSize > definition.config.vocabSize) {
      throw new RangeError(
        `config.vocabSize is ${definition.config.vocabSize}, but the tokenizer has ${tokenizer.vocabSize} tokens`,
      )
    }
    const { Engine } = loadAddon()
    try {
      const engine = new Engine({
        config: definition.config,
        tokenBytes: tokenizer.tokenBytes(),
        ...(definition.seed !== undefined && { seed: definition.seed }),
        ...(definition.threads !== undefined && { threads: definition.threads }),
        ...(definition.kvBudgetBytes !== undefined && { kvBudgetBytes: definition.kvBudgetBytes }),
        ...(definition.maxBatchRows !== undefined && { maxBatchRows: definition.maxBatchRows }),
        ...(definition.recompute !== undefined && { recompute: definition.recompute }),
      })
      await fromNative(engine.ready())
      return new Policy(definition, tokenizer, engine)
    } catch (error) {
      const native = error as Error & { code?: string }
      throw typeof native.code === 'string'
        ? new HdpoError(native.code, native.message, { cause: error })
        : error
    }
  }

  /** Loads a folder that `save` wrote. */
  static async load(folder: string, options: PolicyOptions = {}): Promise<Policy> {
    const { config } = await readModelConfig(folder)
    const tokenizerJson = await readJson(folder, 'tokenizer.json')
    const tokenizerConfig = await readJson(folder, 'tokenizer_config.json')
    const template = tokenizerConfig.chat_template
    if (typeof template !== 'string') {
      throw new HdpoError(
        'ERR_POLICY_FOLDER',
        `${join(folder, 'tokenizer_config.json')} has no chat_template`,
      )
    }
    const policy = await Policy.create({
      ...options,
      config,
      tokenizer: { tokenizer: tokenizerJson, config: tokenizerConfig },
      template: { template, endOfTurn: String(tokenizerConfig.eos_token ?? '<|im_end|>') },
    })
    await policy.loadWeights(join(folder, 'model.safetensors'))
    return policy
  }

  /** Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json into `folder`, made if absent. */
  async save(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true })
    const { tokenizer, template } = this.#definition
    const modelConfig = `${JSON.stringify(formatModelConfig(this.config), null, 2)}\n`
    await writeFile(join(folder, 'config.json'), modelConfig)
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer.tokenizer))
    const config = { ...tokenizer.config, chat_template: template.template, eos_token: template.endOfTurn }
    await writeFile(join(folder, 'tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`)
    await this.saveWeights(join(folder, 'model.safetensors'))
  }

  get maxTokens(): number {
    return this.config.maxPositions
  }

  get parameterCount(): number {
    return this.#engine.parameterCount
  }

  createSequence(tokens: ArrayLike<number>): Sequence {
    return NativeSequence.create(this.#engine, Int32Array.from(tokens))
  }

  /** One optimiser step with the HDPO loss. */
  policyStep(batch: PolicyBatch, loss: PolicyLossOptions, optimizer: OptimizerOptions): Promise<StepResult> {
    return fromNative(this.#engine.policyStep(batch, loss, optimizer))
  }

  /** One optimiser step on the mean negative logprob of the masked tokens. */
  supervisedStep(batch: PackedSequences, optimizer: OptimizerOptions): Promise<StepResult> {
    return fromNative(this.#engine.supervisedStep(batch, optimizer))
  }

  /** Logprob and entropy of every token given those before it; 0 for the first token of a sequence. */
  logprobs(
    tokens: Int32Array,
    offsets: Int32Array,
    options: { temperature?: number; reference?: boolean } = {},
  ): Promise<{ logprobs: Float32Array; entropies: Float32Array }> {
    return fromNative(
      this.#engine.logprobs(tokens, offsets, options.temperature ?? 1, options.reference ?? false),
    )
  }

  freezeReference(): Promise<void> {
    return fromNative(this.#engine.freezeReference())
  }
  saveWeights(path: string): Promise<void> {
    return fromNative(this.#engine.saveWeights(path))
  }
  loadWeights(path: string): Promise<void> {
    return fromNative(this.#engine.loadWeights(path))
  }
  saveOptimizer(path: string): Promise<void> {
    return fromNative(this.#engine.saveOptimizer(path))
  }
  loadOptimizer(path: string): Promise<void> {
    return fromNative(this.#engine.loadOptimizer(path))
  }
  /** Ends a running step at its next micro-batch; its promise rejects with ERR_ABORTED and nothing is changed. */
  abortTraining(): void {
    this.#engine.abortTraining()
  }
  generationStats(): Promise<GenerationStats> {
    return fromNative(this.#engine.generationStats())
  }
  enableProfile(on: boolean): Promise<void> {
    return fromNative(this.#engine.enableProfile(on))
  }
  profile(): Promise<ProfileEntry[]> {
    return fromNative(this.#engine.profile())
  }
  /** Frees the model; later calls reject with ERR_CLOSED. */
  close(): Promise<void> {
    return fromNative(this.#engine.close())
  }
}

async function readJson(folder: string, name: string): Promise<Record<string, unknown>> {
  const path = join(folder, name)
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  } catch (error) {
    throw new HdpoError('ERR_POLICY_FOLDER', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
