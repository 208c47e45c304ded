// Takes one measurement at the size of a real model, in a process of its own, so that the peak memory is that of this measurement.
// Arguments come as JSON and figures leave as JSON. bench/real-size.ts starts it.
import { fromNative, loadAddon, type NativeEngine } from '../lib/native/addon.js'
import { resolveEngine } from '../lib/native/engine-options.js'
import { resolveLoss } from '../lib/native/loss-options.js'
import { resolveOptimizer } from '../lib/native/optimizer-options.js'
import type { LoraOptions, ProfileEntry } from '../lib/native/types.js'
import { NativeSequence } from '../lib/policy/sequence.js'
import type { Shape } from './shapes.js'
import { median, randomBatch } from './training.js'

export interface PartArguments {
  shape: Shape
  threads: number
  precision: 'float32' | 'bfloat16'
  generationPrecision: 'float32' | 'bfloat16' | 'int8'
  /** Weights to load; where it is absent, they are drawn. */
  weights?: string
  /** Write the drawn weights here. */
  save?: string
  prefillTokens?: number
  /** Numbers of sequences that decode side by side; each is measured in turn. */
  batches?: number[]
  train?: 'full' | 'lora'
}

export interface PartFigures {
  prefillTokensPerSecond?: number
  decodeTokensPerSecond: Record<number, number>
  trainTokensPerSecond?: number
  /** |logprob while sampling - logprob of the training forward| over sampled tokens. */
  drift?: { mean: number; largest: number }
  /** The profile of the last measurement. */
  profile: ProfileEntry[]
  peakResidentBytes: number
}

const lora: LoraOptions = {
  rank: 32,
  alpha: 64,
  dropout: 0,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  rankStabilized: false,
}
const repetitions = 3
const promptTokens = 32

export async function measurePart(given: PartArguments): Promise<PartFigures> {
  const { Engine } = loadAddon()
  const engine = new Engine(
    resolveEngine({
      config: given.shape.config,
      threads: given.threads,
      precision: given.precision,
      generationPrecision: given.generationPrecision,
      trainable: given.train !== undefined,
      initialize: given.weights === undefined,
      lora: given.train === 'lora' ? lora : undefined,
    }),
  )
  const figures: PartFigures = { decodeTokensPerSecond: {}, profile: [], peakResidentBytes: 0 }
  try {
    await fromNative(engine.ready())
    if (given.weights) await fromNative(engine.loadWeights(given.weights))
    if (given.save) await fromNative(engine.saveWeights(given.save))
    if (given.prefillTokens) figures.prefillTokensPerSecond = await prefillSpeed(engine, given)
    for (const batch of given.batches ?? [])
      figures.decodeTokensPerSecond[batch] = await decodeSpeed(engine, given, batch)
    if (given.batches) figures.drift = await measureDrift(engine, given)
    if (given.train) figures.trainTokensPerSecond = await trainingSpeed(engine, given)
    figures.profile = await fromNative(engine.profile())
  } finally {
    await fromNative(engine.close())
  }
  figures.peakResidentBytes = process.resourceUsage().maxRSS * 1024
  return figures
}

async function prefillSpeed(
  engine: NativeEngine,
  { shape, prefillTokens = 0 }: PartArguments,
): Promise<number> {
  return medianSpeed(engine, prefillTokens, async () => {
    const sequence = NativeSequence.create(engine, randomTokens(prefillTokens, shape.config.vocabSize))
    const start = performance.now()
    await sequence.prefill()
    const elapsed = performance.now() - start
    sequence.release()
    return elapsed
  })
}

async function decodeSpeed(engine: NativeEngine, { shape }: PartArguments, batch: number): Promise<number> {
  return medianSpeed(engine, batch * shape.generated, async (run) => {
    const sequences = Array.from({ length: batch }, () =>
      NativeSequence.create(engine, randomTokens(promptTokens, shape.config.vocabSize)),
    )
    await Promise.all(sequences.map((sequence) => sequence.prefill()))
    const start = performance.now()
    const samples = await Promise.all(
      sequences.map((sequence, index) =>
        sequence.sample({ maxTokens: shape.generated, seed: run * batch + index }),
      ),
    )
    const elapsed = performance.now() - start
    if (samples.some((sample) => sample.tokens.length !== shape.generated))
      throw new Error('a sample ended early')
    for (const sequence of sequences) sequence.release()
    return elapsed
  })
}

async function measureDrift(
  engine: NativeEngine,
  { shape }: PartArguments,
): Promise<{ mean: number; largest: number }> {
  const prompts = Array.from({ length: 8 }, () => randomTokens(promptTokens, shape.config.vocabSize))
  const sequences = prompts.map((prompt) => NativeSequence.create(engine, prompt))
  const samples = await Promise.all(
    sequences.map((sequence, seed) => sequence.sample({ maxTokens: shape.generated, seed })),
  )
  for (const sequence of sequences) sequence.release()
  const length = promptTokens + shape.generated
  const tokens = new Int32Array(prompts.length * length)
  for (const [index, { tokens: sampled }] of samples.entries()) {
    tokens.set(prompts[index] as Int32Array, index * length)
    tokens.set(sampled, index * length + promptTokens)
  }
  const offsets = Int32Array.from({ length: prompts.length + 1 }, (_, index) => index * length)
  const { logprobs } = await fromNative(engine.logprobs(tokens, offsets, 1, false))
  const differences = samples.flatMap((sample, index) =>
    Array.from(sample.logprobs, (logprob, at) =>
      Math.abs(logprob - (logprobs[index * length + promptTokens + at] as number)),
    ),
  )
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length
  return { mean, largest: Math.max(...differences) }
}

async function trainingSpeed(engine: NativeEngine, { shape }: PartArguments): Promise<number> {
  const batch = randomBatch(shape)
  const optimizer = resolveOptimizer({ learningRate: 1e-5, microBatchTokens: batch.tokens.length })
  return medianSpeed(engine, shape.batch * shape.sequence, async () => {
    const start = performance.now()
    const result = await fromNative(engine.policyStep(batch, resolveLoss({}), optimizer))
    if (result.skipped) throw new Error('the step was skipped: its loss or gradient was not finite')
    return performance.now() - start
  })
}

/** Tokens per second; `run` gives milliseconds. The first run warms up, the last one is profiled. */
async function medianSpeed(
  engine: NativeEngine,
  tokens: number,
  run: (index: number) => Promise<number>,
): Promise<number> {
  await run(0)
  const milliseconds: number[] = []
  for (let index = 1; index <= repetitions; index++) {
    if (index === repetitions) await fromNative(engine.enableProfile(true))
    milliseconds.push(await run(index))
  }
  return (tokens * 1000) / median(milliseconds)
}

function randomTokens(count: number, vocabSize: number): Int32Array {
  return Int32Array.from({ length: count }, () => Math.floor(Math.random() * vocabSize))
}

const given = process.argv[2]
if (given !== undefined) console.log(JSON.stringify(await measurePart(JSON.parse(given) as PartArguments)))
