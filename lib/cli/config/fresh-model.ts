// `model` of an sft config: the sizes of a new model with random weights.
import { z } from 'zod'
import { count, positive } from '../../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../../core/options.js'
import type { ModelConfig } from '../../native/types.js'

const freshModelShape = {
  /** A folder with tokenizer.json and tokenizer_config.json. Default: the environment's own. */
  tokenizer: z.string().optional(),
  /** Width of a hidden state. */
  hiddenSize: count,
  /** Layers of the transformer. */
  layers: count,
  /** Query heads per layer. */
  heads: count,
  /** Key and value heads, which the query heads share. Default: as many as heads. */
  kvHeads: count.optional(),
  /** Width of a head. Default: hiddenSize / heads. */
  headDim: count.optional(),
  /** Width between the two projections of the feed-forward part. */
  intermediateSize: count,
  /** Length of the longest sequence in tokens. */
  maxPositions: count,
  /** Base of the rotary embedding's frequencies. Default 10,000. */
  ropeTheta: positive.default(10_000),
  /** Added to the mean square in RMSNorm. Default 1e-6. */
  rmsNormEpsilon: positive.default(1e-6),
  /** Whether the output projection is the embedding. Default true. */
  tieEmbeddings: z.boolean().default(true),
  /** Whether the query, key and value projections have biases. Default false. */
  qkvBias: z.boolean().default(false),
  /** Whether queries and keys are normalised per head. Default true. */
  qkNorm: z.boolean().default(true),
}
export const freshModel = z.strictObject(freshModelShape)
type FreshModel = OptionsOf<typeof freshModelShape>

export function freshModelConfig(sizes: FreshModel, vocabSize: number): ModelConfig {
  const { tokenizer: _, kvHeads, headDim, ...given } = readOptions(freshModel, sizes, 'model')
  return {
    ...given,
    vocabSize,
    kvHeads: kvHeads ?? given.heads,
    headDim: headDim ?? given.hiddenSize / given.heads,
  }
}
