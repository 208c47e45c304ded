// The policy that atlas is tuned for: small enough to train on two CPU cores in minutes, large enough to know some hundred
// facts by heart and to copy from what its tools return.
import type { ModelConfig } from '../../native/types.js'

export function atlasModel(vocabSize: number): ModelConfig {
  return {
    vocabSize,
    hiddenSize: 128,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    headDim: 32,
    intermediateSize: 352,
    maxPositions: 512,
    ropeTheta: 10000,
    rmsNormEpsilon: 1e-6,
    tieEmbeddings: true,
    qkvBias: false,
    qkNorm: true,
  }
}
