// A policy without a network: characters are tokens, one number is all its weights, and what it says depends on
// that number and the sampling seed. A step changes the number by the batch's content, so two runs that differ
// anywhere end differently.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  OptimizerOptions,
  PackedSequences,
  PolicyBatch,
  PolicyLossOptions,
  StepResult,
} from '../../lib/native/types.js'
import type {
  ChatTemplate,
  Message,
  Sample,
  SamplingOptions,
  Sequence,
  Tokenizer,
} from '../../lib/policy/types.js'
import type { TrainablePolicy } from '../../lib/trainer/trainable-policy.js'

const specialTokens = new Map([
  ['<end>', 256],
  ['<tool_call>', 257],
])
const endOfTurn = 256
export const callToken = 257

const specialText = (token: number) => [...specialTokens].find(([, id]) => id === token)?.[0]

const tokenizer: Tokenizer = {
  vocabSize: 258,
  encode: (text) =>
    text.split(/(<end>|<tool_call>)/).flatMap((part) => {
      const special = specialTokens.get(part)
      return special === undefined ? Array.from(part, (character) => character.charCodeAt(0)) : [special]
    }),
  decode: (tokens) =>
    Array.from(tokens, (token) => specialText(token) ?? String.fromCharCode(token)).join(''),
  tokenId: (token) => specialTokens.get(token),
  tokenBytes: () =>
    Array.from({ length: 258 }, (_, id) => (id < 256 ? Uint8Array.of(id) : new Uint8Array(0))),
}

const text = (messages: Message[]) => messages.map(({ role, content }) => `${role}:${content}\n`).join('')

const template: ChatTemplate = {
  endOfTurn,
  prompt: (messages) => tokenizer.encode(`${text(messages)}assistant:`),
  observation: (messages, turnEnded) => [
    ...(turnEnded ? [] : [endOfTurn]),
    ...tokenizer.encode(`\n${text(messages)}assistant:`),
  ],
  supervised(messages) {
    const prompt = template.prompt(messages.slice(0, -1), [])
    const reply = [...tokenizer.encode(messages.at(-1)?.content ?? ''), endOfTurn]
    return { tokens: [...prompt, ...reply], mask: [...prompt.map(() => 0), ...reply.map(() => 1)] }
  },
}

export interface PolicyCall {
  kind: 'policy' | 'supervised'
  batch: PackedSequences | PolicyBatch
  optimizer: OptimizerOptions
  loss?: PolicyLossOptions
}

export class ScriptedPolicy implements TrainablePolicy {
  readonly tokenizer = tokenizer
  readonly template = template
  readonly maxTokens: number = 4096
  weights = 1
  momentum = 0
  reference: number | undefined
  /** Every optimiser step that was requested. */
  readonly calls: PolicyCall[] = []
  /** Whether the loss of a step (counted from 1 over the life of this object) is made not finite. */
  notFinite: (call: number) => boolean = () => false
  /**
   * What the policy says next: the text of one turn. `draw` is uniform in [0, 1) and depends on weights and seed.
   */
  say: (conversation: string, draw: number, mayCall: boolean) => string = (conversation, draw, mayCall) =>
    conversation.includes('tool:') || draw < 0.5 || !mayCall
      ? `<answer>${draw < 0.7 ? 42 : 41}</answer>`
      : '<tool_call>{"name": "lookup", "arguments": {}}</tool_call>'

  createSequence(tokens: ArrayLike<number>): Sequence {
    return new ScriptedSequence(this, Array.from(tokens))
  }

  async policyStep(
    batch: PolicyBatch,
    loss: PolicyLossOptions,
    optimizer: OptimizerOptions,
  ): Promise<StepResult> {
    const change =
      batch.oldLogprobs.reduce((sum, value) => sum + value, 0) + (batch.accuracyAdvantages[0] ?? 0)
    return this.#step({ kind: 'policy', batch, loss, optimizer }, change)
  }

  async supervisedStep(batch: PackedSequences, optimizer: OptimizerOptions): Promise<StepResult> {
    const change = batch.tokens.reduce((sum, token, place) => sum + token * (place + 1), 0) / 1e6
    return this.#step({ kind: 'supervised', batch, optimizer }, change)
  }

  async logprobs(tokens: Int32Array, _offsets: Int32Array, options: { reference?: boolean } = {}) {
    const weights = options.reference ? (this.reference as number) : this.weights
    return {
      logprobs: new Float32Array(tokens.length).fill(-weights),
      entropies: new Float32Array(tokens.length),
    }
  }

  async freezeReference() {
    this.reference = this.weights
  }
  async saveCheckpoint(folder: string) {
    await mkdir(folder, { recursive: true })
    await this.saveWeights(join(folder, 'model.safetensors'))
  }
  loadCheckpoint(folder: string) {
    return this.loadWeights(join(folder, 'model.safetensors'))
  }
  async saveWeights(path: string) {
    await writeFile(path, JSON.stringify(this.weights))
  }
  async loadWeights(path: string) {
    this.weights = JSON.parse(await readFile(path, 'utf8'))
  }
  async saveOptimizer(path: string) {
    await writeFile(path, JSON.stringify(this.momentum))
  }
  async loadOptimizer(path: string) {
    this.momentum = JSON.parse(await readFile(path, 'utf8'))
  }

  /** Seconds in which the engine has worked so far. */
  busySeconds = 0
  async generationStats() {
    const counts = { steps: 0, rows: 0, sampledTokens: 0, prefillTokens: 0, evictions: 0 }
    const now = { kvBytesUsed: 0, kvBytesBudget: 0, live: 0, sampling: 0, waiting: 0 }
    return { ...counts, ...now, seconds: this.busySeconds }
  }

  #step(call: PolicyCall, change: number): StepResult {
    this.calls.push(call)
    const skipped = this.notFinite(this.calls.length)
    if (!skipped) {
      this.momentum = 0.5 * this.momentum + change
      this.weights += call.optimizer.learningRate * this.momentum
    }
    const trainedTokens = call.batch.mask.reduce((sum, bit) => sum + bit, 0)
    return {
      loss: skipped ? Number.NaN : change,
      accuracyLoss: change,
      efficiencyLoss: 0,
      kl: 0,
      supervisedLoss: change,
      entropy: 0.5,
      logprobDifference: 0,
      clippedLow: 0,
      clippedHigh: 0,
      dualClipped: 0,
      trainedTokens,
      pushedTokens: trainedTokens,
      tokens: call.batch.tokens.length,
      microBatches: 1,
      gradientNorm: Math.abs(change),
      skipped,
      workspaceBytes: 0,
    }
  }
}

class ScriptedSequence implements Sequence {
  constructor(
    private readonly policy: ScriptedPolicy,
    private readonly tokens: number[],
  ) {}

  fork() {
    return new ScriptedSequence(this.policy, [...this.tokens])
  }
  append(tokens: ArrayLike<number>) {
    this.tokens.push(...Array.from(tokens))
  }
  async prefill() {}
  release() {}

  async sample(options: SamplingOptions): Promise<Sample> {
    const draw = fraction((options.seed ?? 0) / 2 ** 40 + this.policy.weights * 1000)
    const mayCall = options.logitBias?.get(callToken) !== Number.NEGATIVE_INFINITY
    const said = this.policy.say(tokenizer.decode(this.tokens), draw, mayCall)
    const tokens = Int32Array.from([...tokenizer.encode(said), endOfTurn])
    this.append(tokens)
    const logprobs = new Float32Array(tokens.length).fill(-draw)
    return { tokens, logprobs, finishReason: 'stop-token', stopToken: endOfTurn }
  }
}

function fraction(value: number): number {
  const scrambled = Math.sin(value) * 43758.5453
  return scrambled - Math.floor(scrambled)
}
