// Memory of a model that has not been loaded, from its sizes alone. An engine's own memoryPlan() is exact; test/policy/
// memory-estimate.test.ts holds the two together.
import { loadAddon } from '../native/addon.js'
import type {
  GenerationPrecision,
  LoraOptions,
  LoraTargetModule,
  ModelConfig,
  Precision,
} from '../native/types.js'

export interface MemoryQuestion {
  config: ModelConfig
  precision: Precision
  generationPrecision?: GenerationPrecision
  lora?: LoraOptions
  trainable: boolean
  recompute?: boolean
  microBatchTokens?: number
  kvBudgetBytes?: number
}

/** Bytes. */
export interface MemoryEstimate {
  weights: number
  generationWeights: number
  /** Adapters, gradients and optimiser state. */
  training: number
  activations: number
  kvCache: number
  generationWorkspace: number
  total: number
}

const loss = { workspaceBytes: 120 * 2 ** 20, rowsOfStates: 3 }
const bytesOf: Record<Precision, number> = { float32: 4, bfloat16: 2 }

export function estimateMemory(question: MemoryQuestion): MemoryEstimate {
  const { config, precision, lora, trainable, microBatchTokens = 2048 } = question
  const { generationPrecision = precision, kvBudgetBytes = 128 * 2 ** 20 } = question
  const counts = countParameters(config)
  const all = counts.matrices + counts.vectors
  const hasMasters = precision === 'bfloat16' && !lora && trainable
  const weights = counts.matrices * bytesOf[precision] + counts.vectors * 4 + (hasMasters ? 4 * all : 0)
  const trained = lora ? countAdapter(config, lora) : all
  const generationWeights =
    packedMatrices(config, generationPrecision) +
    // Float32 weights are merged with the adapter for generation; beside narrower weights it is packed separately, in bfloat16.
    (lora && generationPrecision !== 'float32' ? packedAdapter(config, lora) : 0)
  // Float32 gradient and two moments per trained parameter; for an adapter its weights too.
  const training = (lora ? 4 * trained : 0) + (trainable ? 12 * trained : 0)
  const activations = trainable ? activationBytes(question, microBatchTokens) : 0
  const generationWorkspace = stepBytes(question)
  const total = weights + generationWeights + training + activations + kvBudgetBytes + generationWorkspace
  return {
    weights,
    generationWeights,
    training,
    activations,
    kvCache: kvBudgetBytes,
    generationWorkspace,
    total,
  }
}

/** Bytes of a generation step of 256 rows on a CPU, with the logits of as many rows as fit into 16 MiB. */
function stepBytes({ config, lora, generationPrecision, precision }: MemoryQuestion): number {
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize, vocabSize } = config
  const rows = 256
  const queryKeyValue = (heads + 2 * kvHeads) * headDim
  const besideWeights = lora !== undefined && (generationPrecision ?? precision) !== 'float32'
  const adapter = besideWeights
    ? Math.max(...fusedAdapters(config, lora).map(({ width }) => width)) +
      Math.max(2 * intermediateSize, queryKeyValue)
    : 0
  const values = 3 * hiddenSize + queryKeyValue + heads * headDim + 3 * intermediateSize + adapter
  const sampled = Math.min(rows, Math.max(1, Math.floor(2 ** 22 / vocabSize)))
  return 4 * (rows * values + sampled * (2 * hiddenSize + vocabSize))
}

interface ParameterCounts {
  /** Weights of projections, embedding and head. */
  matrices: number
  /** Norms and biases. */
  vectors: number
}

export function countParameters(config: ModelConfig): ParameterCounts {
  const { hiddenSize, layers, vocabSize, heads, kvHeads, headDim, qkvBias, qkNorm, tieEmbeddings } = config
  const projections = Object.values(projectionShapes(config))
  const layerMatrices = layers * projections.reduce((sum, [rows, columns]) => sum + rows * columns, 0)
  const perLayer =
    2 * hiddenSize + (qkvBias ? (heads + 2 * kvHeads) * headDim : 0) + (qkNorm ? 2 * headDim : 0)
  return {
    matrices: layerMatrices + (tieEmbeddings ? 1 : 2) * vocabSize * hiddenSize,
    vectors: layers * perLayer + hiddenSize,
  }
}

/** Rows (outputs) and columns (inputs). */
function projectionShapes(config: ModelConfig): Record<LoraTargetModule, readonly [number, number]> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config
  return {
    q_proj: [heads * headDim, hiddenSize],
    k_proj: [kvHeads * headDim, hiddenSize],
    v_proj: [kvHeads * headDim, hiddenSize],
    o_proj: [hiddenSize, heads * headDim],
    gate_proj: [intermediateSize, hiddenSize],
    up_proj: [intermediateSize, hiddenSize],
    down_proj: [hiddenSize, intermediateSize],
  }
}

function countAdapter(config: ModelConfig, { rank, targetModules }: LoraOptions): number {
  const shapes = projectionShapes(config)
  const ofLayer = targetModules.reduce((sum, name) => sum + rank * (shapes[name][0] + shapes[name][1]), 0)
  return config.layers * ofLayer
}

interface FusedAdapter {
  inputs: number
  outputs: number
  width: number
}

/** The adapters of projections that are computed together, with their ranks side by side. */
function fusedAdapters(config: ModelConfig, { rank, targetModules }: LoraOptions): FusedAdapter[] {
  const shapes = projectionShapes(config)
  const groups: readonly (readonly [LoraTargetModule, ...LoraTargetModule[]])[] = [
    ['q_proj', 'k_proj', 'v_proj'],
    ['o_proj'],
    ['gate_proj', 'up_proj'],
    ['down_proj'],
  ]
  const fused = groups.map((names) => ({
    inputs: shapes[names[0]][1],
    outputs: names.reduce((sum, name) => sum + shapes[name][0], 0),
    width: rank * names.filter((name) => targetModules.includes(name)).length,
  }))
  return fused.filter(({ width }) => width > 0)
}

/** Bytes of a weight packed for generation, in whole cache lines. */
function packed(outputs: number, inputs: number, precision: GenerationPrecision): number {
  return Math.ceil(loadAddon().packedBytes(outputs, inputs, precision) / 64) * 64
}

/** Bytes of a model's weights, packed. */
function packedMatrices(config: ModelConfig, precision: GenerationPrecision): number {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, layers, vocabSize } = config
  const layer =
    packed((heads + 2 * kvHeads) * headDim, hiddenSize, precision) +
    packed(hiddenSize, heads * headDim, precision) +
    packed(2 * intermediateSize, hiddenSize, precision) +
    packed(hiddenSize, intermediateSize, precision)
  return layers * layer + packed(vocabSize, hiddenSize, precision)
}

/** Bytes of the packed adapter: bfloat16, whatever the precision of the weights. */
function packedAdapter(config: ModelConfig, lora: LoraOptions): number {
  const ofLayer = fusedAdapters(config, lora).map(
    ({ inputs, outputs, width }) => packed(width, inputs, 'bfloat16') + packed(outputs, width, 'bfloat16'),
  )
  return config.layers * ofLayer.reduce((sum, count) => sum + count, 0)
}

/** Float32 values of a step's scratch for adapters, at `tokens` tokens. */
function adapterScratch(config: ModelConfig, lora: LoraOptions, tokens: number): number {
  const fused = fusedAdapters(config, lora)
  const largest = (of: (adapter: FusedAdapter) => number) => Math.max(...fused.map(of))
  const dropped = lora.dropout > 0 ? largest(({ inputs }) => inputs) : 0
  const spread = largest(({ outputs, width }) => outputs * width)
  return tokens * (2 * largest(({ width }) => width) + dropped) + 2 * spread
}

/** Bytes that a step keeps for backward (native/model/transformer.cpp), of its scratch, and of the loss. */
function activationBytes({ config, lora, precision, recompute }: MemoryQuestion, tokens: number): number {
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, qkNorm, vocabSize } = config
  const queries = heads * headDim
  const qkv = queries + 2 * kvHeads * headDim
  const layer = 2 + qkv + (qkNorm ? heads + kvHeads : 0) + queries + heads + hiddenSize + 2 * intermediateSize
  const kept = (layers + 2) * hiddenSize + 1 + (recompute ? 1 : layers) * layer
  const scratch = 2 * hiddenSize + Math.max(3 * intermediateSize, (qkNorm ? 2 : 1) * qkv + queries)
  const logits = Math.min(Math.max(loss.workspaceBytes, 4 * vocabSize), 4 * tokens * vocabSize)
  const adapter = lora ? adapterScratch(config, lora, tokens) : 0
  const rounded = precision === 'bfloat16' ? roundedOperands(config, lora) : 0
  return (
    4 * (tokens * (kept + scratch + loss.rowsOfStates * hiddenSize) + adapter) + 2 * tokens * rounded + logits
  )
}

/** Two-byte values per token: inputs that are rounded once for several products with bfloat16 weights. */
function roundedOperands(config: ModelConfig, lora: LoraOptions | undefined): number {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config
  const gradient = Math.max(2 * intermediateSize, (heads + 2 * kvHeads) * headDim)
  if (!lora) return gradient
  const reduced = Math.max(...fusedAdapters(config, lora).map(({ width }) => width))
  return gradient + Math.max(hiddenSize, heads * headDim, intermediateSize) + reduced
}
