// The two sizes that every speed benchmark runs at, as the engine and as the PyTorch peer name them.
import type { ModelConfig } from '../lib/native.js'

export interface Shape {
  name: string
  config: ModelConfig
  /** Sequences of a batch. */
  batch: number
  /** Tokens that each sequence predicts in a training step. */
  sequence: number
  /** Tokens that each sequence samples in the generation benchmark. */
  generated: number
}

export const prompt = 16

function shape(hiddenSize: number, layers: number, heads: number, intermediateSize: number): Shape {
  return {
    name: `dim ${hiddenSize}, ${layers} layers`,
    batch: 32,
    sequence: 128,
    generated: 64,
    config: {
      vocabSize: 512,
      hiddenSize,
      layers,
      heads,
      kvHeads: heads / 2,
      headDim: hiddenSize / heads,
      intermediateSize,
      maxPositions: 256,
      ropeTheta: 10000,
      rmsNormEpsilon: 1e-6,
      tieEmbeddings: true,
      qkvBias: false,
      qkNorm: false,
    },
  }
}

export const shapes: Shape[] = [shape(256, 6, 8, 704), shape(128, 4, 4, 352)]
