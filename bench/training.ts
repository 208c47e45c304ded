// Measures one optimiser step in tokens per second: forward, HDPO loss, backward, clipping, AdamW.
import { fromNative, loadAddon, type NativeEngine } from '../lib/native/addon.js'
import { resolveEngine } from '../lib/native/engine-options.js'
import { resolveLoss } from '../lib/native/loss-options.js'
import { resolveOptimizer } from '../lib/native/optimizer-options.js'
import type { PolicyBatch, ProfileEntry } from '../lib/native/types.js'
import type { Shape } from './shapes.js'

const warmUpSteps = 3
const steps = 9

export interface TrainingFigures {
  tokensPerSecond: number
  parameters: number
  profile: ProfileEntry[]
}

export async function measureTraining(shape: Shape, threads: number): Promise<TrainingFigures> {
  const { Engine } = loadAddon()
  const engine = new Engine(resolveEngine({ config: shape.config, threads }))
  await fromNative(engine.ready())
  try {
    const batch = randomBatch(shape)
    for (let step = 0; step < warmUpSteps; step++) await takeStep(engine, batch)
    const seconds: number[] = []
    for (let step = 0; step < steps; step++) {
      const start = performance.now()
      await takeStep(engine, batch)
      seconds.push((performance.now() - start) / 1000)
    }
    await fromNative(engine.enableProfile(true))
    await takeStep(engine, batch)
    const profile = await fromNative(engine.profile())
    const tokens = shape.batch * shape.sequence
    return { tokensPerSecond: tokens / median(seconds), parameters: engine.parameterCount, profile }
  } finally {
    await fromNative(engine.close())
  }
}

async function takeStep(engine: NativeEngine, batch: PolicyBatch): Promise<void> {
  const optimizer = resolveOptimizer({ learningRate: 1e-5 })
  const result = await fromNative(engine.policyStep(batch, resolveLoss({}), optimizer))
  if (result.skipped) throw new Error('the step was skipped: its loss or gradient was not finite')
}

/** A batch like the peer's: every token but each sequence's first is predicted, and old logprobs are close to the present ones. */
export function randomBatch({ config, batch, sequence }: Shape): PolicyBatch {
  const length = sequence + 1
  const tokens = Int32Array.from({ length: batch * length }, () =>
    Math.floor(Math.random() * config.vocabSize),
  )
  const oldLogprob = -Math.log(config.vocabSize)
  return {
    tokens,
    offsets: Int32Array.from({ length: batch + 1 }, (_, index) => index * length),
    mask: Uint8Array.from(tokens, (_, index) => (index % length === 0 ? 0 : 1)),
    oldLogprobs: new Float32Array(tokens.length).fill(oldLogprob),
    accuracyAdvantages: Float32Array.from({ length: batch }, () => Math.random() - 0.5),
    efficiencyAdvantages: Float32Array.from({ length: batch }, () => Math.random() - 0.5),
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] as number
}
