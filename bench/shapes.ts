// The sizes that speed benchmarks run at, as the engine and as the PyTorch peer name them.
import type { ModelConfig } from '../lib/native/types.js'

export interface Shape {
  name: string
  config: ModelConfig
  /** Sequences per batch. */
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

/** The shape of Qwen2.5-0.5B, which has 494 million parameters. */
export const realShape: Shape = {
  name: '0.5B (Qwen2.5-0.5B)',
  batch: 4,
  sequence: 512,
  generated: 32,
  config: {
    vocabSize: 151_936,
    hiddenSize: 896,
    layers: 24,
    heads: 14,
    kvHeads: 2,
    headDim: 64,
    intermediateSize: 4864,
    maxPositions: 4096,
    ropeTheta: 1_000_000,
    rmsNormEpsilon: 1e-6,
    tieEmbeddings: true,
    qkvBias: true,
    qkNorm: false,
  },
}
