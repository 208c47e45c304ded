// Policy = native model and engine + tokenizer + chat template, and the folder all three are kept in (Hugging Face layout).
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { count } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import { fromNative, loadAddon, type NativeEngine, toHdpoError } from '../native/addon.js'
import { type EngineOptions, resolveEngine } from '../native/engine-options.js'
import { resolveLoss } from '../native/loss-options.js'
import { resolveOptimizer } from '../native/optimizer-options.js'
import type {
  GenerationPrecision,
  GenerationStats,
  LoraOptions,
  MemoryPlan,
  ModelConfig,
  OptimizerOptions,
  PackedSequences,
  PolicyBatch,
  PolicyLossOptions,
  Precision,
  ProfileEntry,
  StepResult,
} from '../native/types.js'
import { weightFingerprint } from './base-fingerprint.js'
import { createChatTemplate } from './chat-template.js'
import { type AdapterFolder, adapterWeightsName, baseOf, readAdapterFolder } from './lora.js'
import {
  checkPath,
  checkPaths,
  fromBatch,
  packedSequences,
  packedTokens,
  policyBatch,
} from './native-arguments.js'
import { type PolicyFolder, readPolicyFolder, textPartsOf } from './policy-folder.js'
import {
  engineOptions,
  type LogprobOptions,
  logprobOptions,
  loraOf,
  type PolicyDefinition,
  type PolicyOptions,
  policyDefinition,
  type ResolvedPolicyDefinition,
  resolvePolicyOptions,
} from './policy-options.js'
import { saveBesideRun } from './save-beside-run.js'
import {
  type AdapterSaveOptions,
  adapterSaveOptions,
  isPolicyFile,
  type PolicyParts,
  refuseBaseFolder,
  type SaveOptions,
  saveOptions,
  writeAdapterConfig,
  writeModelCard,
  writeModelFiles,
} from './save-policy.js'
import { NativeSequence } from './sequence.js'
import { textIdentity } from './text-identity.js'
import { loadTokenizer } from './tokenizer.js'
import type { ChatTemplate, RolloutPolicy, Sequence, Tokenizer } from './types.js'
import { writeFolder } from './write-folder.js'

export type { PolicyDefinition, PolicyOptions, SaveOptions }

/** What was read from a folder beyond what a definition has. */
type Origin = Pick<PolicyParts, 'configJson' | 'files' | 'base' | 'weights'>

export class Policy implements RolloutPolicy {
  readonly config: ModelConfig
  readonly tokenizer: Tokenizer
  readonly template: ChatTemplate
  /** How matrices are stored. */
  readonly precision: Precision
  /** How rollouts read the weights. */
  readonly generationPrecision: GenerationPrecision
  /** The adapter that is trained while the weights are frozen; undefined where all weights are trained. */
  readonly lora: LoraOptions | undefined
  readonly #engine: NativeEngine
  readonly #parts: PolicyParts
  readonly #kvPrecision: Precision
  #merged = false

  private constructor(engine: NativeEngine, options: EngineOptions, parts: PolicyParts) {
    if (!(engine instanceof loadAddon().Engine))
      throw new InvalidOptionError(
        'Policy',
        'made with Policy.load or Policy.create',
        new Described('new Policy()'),
      )
    const { precision, generationPrecision, kvPrecision } = options
    this.config = parts.config
    this.tokenizer = parts.tokenizer
    this.template = parts.chat
    this.precision = precision
    this.generationPrecision = generationPrecision
    this.#kvPrecision = kvPrecision
    this.lora = parts.lora
    this.#engine = engine
    this.#parts = parts
  }

  /** A policy with random weights. Throws InvalidOptionError. */
  static async create(given: PolicyDefinition): Promise<Policy> {
    const definition = readOptions(policyDefinition, given)
    return Policy.#make(definition, {}, loraOf(definition))
  }

  static async #make(
    definition: ResolvedPolicyDefinition,
    origin: Origin,
    lora?: LoraOptions,
  ): Promise<Policy> {
    const { config, seed, toolFormat, templateVariables: variables } = definition
    const tokenizer = loadTokenizer(definition.tokenizer)
    if (tokenizer.vocabSize > config.vocabSize) {
      const expected = `at least ${tokenizer.vocabSize}, the size of the tokenizer`
      throw new InvalidOptionError('config.vocabSize', expected, config.vocabSize)
    }
    const template = {
      ...definition.template,
      ...(toolFormat && { toolFormat }),
      ...(variables && { variables: { ...definition.template.variables, ...variables } }),
    }
    const chat = createChatTemplate(template, tokenizer)
    const { Engine } = loadAddon()
    try {
      const options = resolveEngine({
        ...engineOptions(definition),
        config,
        tokenBytes: tokenizer.tokenBytes(),
        absentTokens: tokenizer.absentTokens(config.vocabSize),
        seed,
        lora,
        // Weights that will be loaded need not be drawn first, which takes half a minute per billion.
        initialize: origin.base === undefined,
      })
      const engine = new Engine(options)
      await fromNative(engine.ready())
      const parameters = engine.parameterCount
      const tokenizerFiles = definition.tokenizer
      const drawn = origin.base === undefined && { seed }
      const parts = { config, tokenizer, tokenizerFiles, template, chat, parameters, ...origin, ...drawn }
      return new Policy(engine, options, { ...parts, ...(lora && { lora }) })
    } catch (error) {
      throw toHdpoError(error)
    }
  }

  /**
   * Loads a model folder as Hugging Face has them, or one with a LoRA adapter, whose base is looked for where its
   * adapter_config.json says. docs/models.md says what is supported; everything else is refused by name.
   * Throws InvalidOptionError before anything is read.
   */
  static async load(folder: string, options: PolicyOptions = {}): Promise<Policy> {
    checkPath(folder, 'folder')
    const resolved = resolvePolicyOptions(options)
    const adapter = await readAdapterFolder(folder)
    const source = await readPolicyFolder(adapter ? baseOf(adapter, resolved) : folder)
    const { tokenizer, template, files } = await textPartsOf(folder, source)
    const policy = await Policy.#make(
      { ...resolved, config: source.config, tokenizer, template, seed: 0 },
      { configJson: source.configJson, files, base: resolve(source.path), weights: source.weights },
      loraOf(resolved, adapter?.lora),
    )
    try {
      await policy.#loadFiles(source, adapter)
    } catch (error) {
      await policy.close()
      throw error
    }
    return policy
  }

  async #loadFiles({ weights }: PolicyFolder, adapter: AdapterFolder | undefined): Promise<void> {
    await this.loadWeights(weights)
    if (adapter) await this.loadAdapter(adapter.path)
  }

  /**
   * Writes a folder that Hugging Face's transformers, vLLM and llama.cpp's converter read: config, safetensors, tokenizer, chat
   * template, generation settings, model card. It takes its name when it is whole. An adapter is merged into what is written.
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    checkPath(folder, 'folder')
    const { dtype = this.precision, training, maxShardBytes } = readOptions(saveOptions, options, 'save')
    const merges = this.lora !== undefined && !this.#merged
    const facts = { dtype, adapterOnly: false, ...(training && { training }) }
    const write = async (partial: string) => {
      await writeModelFiles(partial, this.#parts, dtype)
      await writeModelCard(partial, this.#parts, facts)
      if (merges) await this.merge()
      try {
        const path = join(partial, 'model.safetensors')
        await fromNative(this.#engine.saveWeights(path, dtype, maxShardBytes))
      } finally {
        if (merges) await this.unmerge()
      }
    }
    await saveBesideRun(folder, () => writeFolder(folder, write, isPolicyFile))
  }

  /** Writes the adapter alone, as PEFT does: adapter_config.json, adapter_model.safetensors and the tokenizer. */
  async saveAdapter(folder: string, options: AdapterSaveOptions = {}): Promise<void> {
    checkPath(folder, 'folder')
    const { training } = readOptions(adapterSaveOptions, options, 'saveAdapter')
    const parts = { ...this.#parts, lora: this.#requireLora() }
    refuseBaseFolder(folder, parts)
    const facts = { dtype: this.precision, adapterOnly: true, ...(training && { training }) }
    const write = async (partial: string) => {
      await writeAdapterConfig(partial, parts)
      await writeModelCard(partial, parts, facts)
      await fromNative(this.#engine.saveAdapter(join(partial, adapterWeightsName)))
    }
    await saveBesideRun(folder, () => writeFolder(folder, write, isPolicyFile))
  }

  /** Replaces the present adapter by that of a folder that saveAdapter or PEFT wrote. */
  async loadAdapter(folder: string): Promise<void> {
    checkPath(folder, 'folder')
    this.#requireLora()
    await fromNative(this.#engine.loadAdapter(join(folder, adapterWeightsName)))
  }

  /** Adds the adapter to the weights; there is no training until unmerge(). */
  async merge(): Promise<void> {
    await fromNative(this.#engine.mergeAdapter())
    this.#merged = true
  }

  /** Brings back the weights without the adapter, bit for bit. */
  async unmerge(): Promise<void> {
    await fromNative(this.#engine.unmergeAdapter())
    this.#merged = false
  }

  /**
   * What training changes, exactly, into a folder that is being filled: the adapter, or all weights (float32 where they are
   * trained in bfloat16). The folder loads as a policy.
   */
  async saveCheckpoint(folder: string): Promise<void> {
    await mkdir(checkPath(folder, 'folder'), { recursive: true })
    if (this.lora) {
      await writeAdapterConfig(folder, { ...this.#parts, lora: this.lora })
      await fromNative(this.#engine.saveAdapter(join(folder, adapterWeightsName)))
      return
    }
    await writeModelFiles(folder, this.#parts, 'float32')
    await this.saveWeights(join(folder, 'model.safetensors'))
  }

  /** What determines the numbers of a run that trains this policy, but is in none of its checkpoints. */
  async identity(): Promise<Record<string, unknown>> {
    const { precision, generationPrecision, lora } = this
    const { config, seed, weights } = this.#parts
    const parts = {
      precision,
      generationPrecision,
      kvPrecision: this.#kvPrecision,
      config,
      ...textIdentity(this.#parts),
    }
    if (!lora) return parts
    return { ...parts, lora, base: weights ? await weightFingerprint(weights) : { seed } }
  }

  async loadCheckpoint(folder: string): Promise<void> {
    checkPath(folder, 'folder')
    return this.lora ? this.loadAdapter(folder) : this.loadWeights(join(folder, 'model.safetensors'))
  }

  #requireLora(): LoraOptions {
    if (this.lora) return this.lora
    throw new HdpoError('ERR_STATE', 'this policy has no adapter; load or create it with the option lora')
  }

  get maxTokens(): number {
    return this.config.maxPositions
  }

  get parameterCount(): number {
    return this.#engine.parameterCount
  }

  /** Number of parameters that training changes: all, those of the adapter, or none. */
  get trainableParameterCount(): number {
    return this.#engine.trainableParameterCount
  }

  /** Bytes that the policy needs, including training with micro-batches of that many tokens. Default 2048. */
  async memoryPlan(microBatchTokens?: number): Promise<MemoryPlan> {
    return fromNative(
      this.#engine.memoryPlan(
        readOptions(count.max(2 ** 30).optional(), microBatchTokens, 'microBatchTokens'),
      ),
    )
  }

  createSequence(tokens: ArrayLike<number>): Sequence {
    return NativeSequence.create(this.#engine, tokens, this.config.vocabSize)
  }

  /** One optimiser step with the HDPO loss. */
  async policyStep(
    batch: PolicyBatch,
    loss: PolicyLossOptions,
    optimizer: OptimizerOptions,
  ): Promise<StepResult> {
    const [weights, steps] = [resolveLoss(loss), resolveOptimizer(optimizer)]
    readOptions(policyBatch, batch, 'batch')
    return fromBatch(() => this.#engine.policyStep(batch, weights, steps))
  }

  /** One optimiser step on the mean negative logprob of the masked tokens. */
  async supervisedStep(batch: PackedSequences, optimizer: OptimizerOptions): Promise<StepResult> {
    const steps = resolveOptimizer(optimizer)
    readOptions(packedSequences, batch, 'batch')
    return fromBatch(() => this.#engine.supervisedStep(batch, steps))
  }

  /** Logprob and entropy of every token given those before it; 0 for the first token of a sequence. */
  async logprobs(
    tokens: Int32Array,
    offsets: Int32Array,
    options: LogprobOptions = {},
  ): Promise<{ logprobs: Float32Array; entropies: Float32Array }> {
    const { temperature, reference } = readOptions(logprobOptions, options, 'logprobs')
    readOptions(packedTokens, { tokens, offsets })
    return fromBatch(() => this.#engine.logprobs(tokens, offsets, temperature, reference))
  }

  freezeReference(): Promise<void> {
    return fromNative(this.#engine.freezeReference())
  }
  /** The (base) weights alone, as precisely as they are held; save() writes a whole folder. */
  async saveWeights(path: string): Promise<void> {
    return fromNative(this.#engine.saveWeights(checkPath(path)))
  }
  /** Reads one safetensors file, or all shards of a model. */
  async loadWeights(paths: string | string[]): Promise<void> {
    return fromNative(this.#engine.loadWeights(checkPaths(paths)))
  }
  async saveOptimizer(path: string): Promise<void> {
    return fromNative(this.#engine.saveOptimizer(checkPath(path)))
  }
  async loadOptimizer(path: string): Promise<void> {
    return fromNative(this.#engine.loadOptimizer(checkPath(path)))
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
