// Measures the fused last projection and loss at the size of a real vocabulary: time, and memory beyond inputs and gradients.
import { fromNative, loadAddon } from '../lib/native/addon.js'
import { resolveEngine } from '../lib/native/engine-options.js'
import { resolveLoss } from '../lib/native/loss-options.js'
import { resolveOptimizer } from '../lib/native/optimizer-options.js'

const tokens = 1024
const hiddenSize = 256
const vocabSize = 151_936

export interface LinearLossFigures {
  shape: string
  milliseconds: number
  /** Of hidden x weight^T, gradient x weight and gradient^T x hidden: 6 x tokens x hidden x vocabulary operations. */
  matmulMilliseconds: number
  workspaceBytes: number
}

export async function measureLinearLoss(threads: number): Promise<LinearLossFigures> {
  const config = {
    vocabSize,
    hiddenSize,
    layers: 1,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    intermediateSize: 256,
    maxPositions: tokens,
    ropeTheta: 10000,
    rmsNormEpsilon: 1e-6,
    tieEmbeddings: true,
    qkvBias: false,
    qkNorm: false,
  }
  const { Engine } = loadAddon()
  const engine = new Engine(resolveEngine({ config, threads }))
  await fromNative(engine.ready())
  try {
    const length = 128
    const sequences = tokens / length
    const ids = Int32Array.from({ length: tokens }, (_, index) => (index * 7919) % vocabSize)
    const batch = {
      tokens: ids,
      offsets: Int32Array.from({ length: sequences + 1 }, (_, index) => index * length),
      mask: Uint8Array.from(ids, (_, index) => (index % length === 0 ? 0 : 1)),
      oldLogprobs: new Float32Array(tokens).fill(-Math.log(vocabSize)),
      accuracyAdvantages: new Float32Array(sequences).fill(1),
      efficiencyAdvantages: new Float32Array(sequences).fill(1),
    }
    const step = () =>
      fromNative(engine.policyStep(batch, resolveLoss({}), resolveOptimizer({ learningRate: 1e-5 })))
    await step()
    await fromNative(engine.enableProfile(true))
    const { workspaceBytes } = await step()
    const profile = new Map((await fromNative(engine.profile())).map((entry) => [entry.name, entry]))
    const loss = profile.get('linearLoss')
    const products = profile.get('linearLoss/matmul')
    if (!loss || !products)
      throw new Error(`the profile has no linearLoss: ${[...profile.keys()].join(', ')}`)
    return {
      shape: `${tokens} tokens x ${hiddenSize} x ${vocabSize}`,
      milliseconds: loss.seconds * 1000,
      matmulMilliseconds: products.seconds * 1000,
      workspaceBytes,
    }
  } finally {
    await fromNative(engine.close())
  }
}
