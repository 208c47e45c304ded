// The policy that cities is tuned for: one and a half times as wide as atlas's, for six times the facts and names of two thousand words.
import type { ModelConfig } from '../../native/types.js'

export function citiesModel(vocabSize: number): ModelConfig {
  return {
    vocabSize,
    hiddenSize: 192,
    layers: 4,
    heads: 6,
    kvHeads: 2,
    headDim: 32,
    intermediateSize: 512,
    maxPositions: 512,
    ropeTheta: 10000,
    rmsNormEpsilon: 1e-6,
    tieEmbeddings: true,
    qkvBias: false,
    qkNorm: true,
  }
}
