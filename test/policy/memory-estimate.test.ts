// The estimate from sizes alone, compared with what an engine of those sizes reports.
import { describe, expect, it } from 'vitest'
import { loadAddon } from '../../lib/native/addon.js'
import { resolveEngine } from '../../lib/native/engine-options.js'
import type { ModelConfig } from '../../lib/native/types.js'
import { resolveLora } from '../../lib/policy/lora-options.js'
import { countParameters, estimateMemory, type MemoryQuestion } from '../../lib/policy/memory-estimate.js'

const qwen3: ModelConfig = {
  vocabSize: 8192,
  hiddenSize: 256,
  layers: 4,
  heads: 8,
  kvHeads: 4,
  headDim: 64,
  intermediateSize: 768,
  maxPositions: 1024,
  ropeTheta: 1e6,
  rmsNormEpsilon: 1e-6,
  tieEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
}
const qwen2: ModelConfig = { ...qwen3, tieEmbeddings: false, qkvBias: true, qkNorm: false }
const lora = resolveLora({ rank: 16, dropout: 0.1 })

describe('estimateMemory', () => {
  it.each<[string, MemoryQuestion]>([
    ['full, float32', { config: qwen3, precision: 'float32', trainable: true }],
    ['full, bfloat16', { config: qwen2, precision: 'bfloat16', trainable: true }],
    ['recomputing', { config: qwen3, precision: 'float32', trainable: true, recompute: true }],
    ['LoRA', { config: qwen3, precision: 'bfloat16', trainable: true, lora }],
    ['int8 rollouts', { config: qwen2, precision: 'bfloat16', generationPrecision: 'int8', trainable: true }],
    ['no training', { config: qwen3, precision: 'bfloat16', trainable: false }],
  ])('%s is what the engine plans, to 5%', async (_, question) => {
    const { config, precision, generationPrecision = precision, recompute = false, trainable } = question
    const { lora } = question
    const engine = new (loadAddon().Engine)(
      resolveEngine({ config, precision, generationPrecision, recompute, trainable, lora }),
    )
    await engine.ready()
    const plan = await engine.memoryPlan(2048)
    const { parameterCount } = engine
    await engine.close()
    const estimate = estimateMemory(question)
    const { matrices, vectors } = countParameters(config)
    expect(matrices + vectors).toBe(parameterCount)
    expect(estimate.weights).toBe(plan.weights)
    expect(estimate.training).toBe(plan.adapters + plan.gradients + plan.optimizer)
    const close = (actual: number, planned: number) =>
      expect(Math.abs(actual - planned)).toBeLessThanOrEqual(0.05 * planned)
    expect(estimate.generationWeights).toBe(plan.generationWeights)
    close(estimate.activations, plan.activations)
    expect(estimate.generationWorkspace).toBe(plan.generationWorkspace)
    close(estimate.total, plan.total)
  })
})
