// The ways in which the engine holds and trains weights, on a small random model.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadAddon, type NativeEngine } from '../../lib/native/addon.js'
import { type EngineDefinition, resolveEngine } from '../../lib/native/engine-options.js'
import { resolveLoss } from '../../lib/native/loss-options.js'
import { resolveOptimizer } from '../../lib/native/optimizer-options.js'
import { resolveSampling } from '../../lib/native/sampling-options.js'
import type { LoraOptions, ModelConfig } from '../../lib/native/types.js'
import { NativeSequence } from '../../lib/policy/sequence.js'

const config: ModelConfig = {
  vocabSize: 40,
  hiddenSize: 32,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  intermediateSize: 64,
  maxPositions: 128,
  ropeTheta: 10_000,
  rmsNormEpsilon: 1e-6,
  tieEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
}
const lora: LoraOptions = {
  rank: 4,
  alpha: 8,
  dropout: 0,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  rankStabilized: false,
}
const tokens = Int32Array.from({ length: 30 }, (_, i) => (i * 7) % 40)
const offsets = Int32Array.of(0, 14, 30)
const mask = Uint8Array.from(tokens, (_, i) => Number(i !== 0 && i !== 14))
const optimizer = resolveOptimizer({ learningRate: 0.01 })

let folder: string
const engines: NativeEngine[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-engine-'))
})
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()))
  await rm(folder, { recursive: true, force: true })
})

async function engineOf(options: Partial<EngineDefinition> = {}): Promise<NativeEngine> {
  const engine = new (loadAddon().Engine)(resolveEngine({ config, threads: 1, seed: 5, ...options }))
  engines.push(engine)
  await engine.ready()
  return engine
}

const train = async (engine: NativeEngine, steps: number) => {
  let loss = 0
  for (let step = 0; step < steps; step++) {
    loss = (await engine.supervisedStep({ tokens, offsets, mask }, optimizer)).loss
  }
  return loss
}
const logprobs = async (engine: NativeEngine, reference = false) =>
  (await engine.logprobs(tokens, offsets, 1, reference)).logprobs
const largest = (a: Float32Array, b: Float32Array) =>
  Math.max(...a.map((x, i) => Math.abs(x - (b[i] as number))))

async function sampleOf(engine: NativeEngine) {
  const sequence = NativeSequence.create(engine, tokens.slice(0, 10))
  const sample = await sequence.sample({ maxTokens: 40, temperature: 1, seed: 3 })
  const whole = Int32Array.from([...tokens.slice(0, 10), ...sample.tokens])
  const trained = await engine.logprobs(whole, Int32Array.of(0, whole.length), 1, false)
  return { drift: largest(sample.logprobs, trained.logprobs.slice(10)) }
}

describe('an engine with an adapter', () => {
  it('trains it alone; the base weights are the reference', async () => {
    const engine = await engineOf({ lora })
    expect(engine.trainableParameterCount).toBeLessThan(engine.parameterCount)
    const base = await logprobs(engine, true)
    expect(await logprobs(engine)).toEqual(base)
    const first = await train(engine, 1)
    // The frozen head's small random rows bound the logits, and with them what an adapter can learn.
    expect(await train(engine, 30)).toBeLessThan(first - 0.3)
    await engine.freezeReference()
    expect(await logprobs(engine, true)).toEqual(base)
    expect(largest(await logprobs(engine), base)).toBeGreaterThan(0.3)
  })

  it('samples with it what training would say', async () => {
    const engine = await engineOf({ lora })
    await train(engine, 20)
    expect((await sampleOf(engine)).drift).toBeLessThan(1e-4)
    await engine.mergeAdapter()
    expect((await sampleOf(engine)).drift).toBeLessThan(1e-4)
  })

  it('saves and loads adapter and optimiser: training goes on to the same numbers', async () => {
    const dropout = { ...lora, dropout: 0.1 }
    const engine = await engineOf({ lora: dropout })
    const resumed = await engineOf({ lora: dropout })
    await train(engine, 3)
    await engine.saveAdapter(join(folder, 'adapter_model.safetensors'))
    await engine.saveOptimizer(join(folder, 'optimizer.safetensors'))
    await resumed.loadAdapter(join(folder, 'adapter_model.safetensors'))
    await resumed.loadOptimizer(join(folder, 'optimizer.safetensors'))
    expect(await train(resumed, 3)).toBe(await train(engine, 3))
    expect(await logprobs(resumed)).toEqual(await logprobs(engine))
    const text = await readFile(join(folder, 'adapter_model.safetensors'), 'latin1')
    expect(text).toContain('base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')
  })

  it('merges into what is saved, and back out', async () => {
    const engine = await engineOf({ lora })
    await train(engine, 5)
    const adapted = await logprobs(engine)
    const [base, again, merged] = ['base', 'again', 'merged'].map((name) => join(folder, name))
    await engine.saveWeights(base as string)
    await engine.mergeAdapter()
    await expect(train(engine, 1)).rejects.toMatchObject({ code: 'ERR_STATE' })
    await engine.saveWeights(merged as string)
    await engine.unmergeAdapter()
    await engine.saveWeights(again as string)
    expect(await readFile(again as string)).toEqual(await readFile(base as string))
    const plain = await engineOf()
    await plain.loadWeights(merged as string)
    expect(largest(await logprobs(plain), adapted)).toBeLessThan(1e-4)
    await expect(plain.mergeAdapter()).rejects.toMatchObject({ code: 'ERR_STATE' })
    await expect(plain.saveAdapter(merged as string)).rejects.toMatchObject({ code: 'ERR_STATE' })
  })

  it('refuses wrong options by name', () => {
    const uneven = { ...config, kvHeads: 3 }
    expect(() => new (loadAddon().Engine)(resolveEngine({ config: uneven }))).toThrow(/multiple of kvHeads/)
    const make = (given: object) => () =>
      new (loadAddon().Engine)(resolveEngine({ config, lora: { ...lora, ...given } }))
    expect(make({ rank: 0 })).toThrow(/rank/)
    expect(make({ dropout: 1 })).toThrow(/dropout/)
    expect(make({ targetModules: [] })).toThrow(/targetModules/)
    expect(make({ targetModules: ['q_prj'] })).toThrow(/'q_proj', 'k_proj'/)
    expect(make({ targetModules: [undefined] })).toThrow(TypeError)
  })
})

describe('precision', () => {
  it('bfloat16 trains float32 masters, which is what is saved', async () => {
    const half = await engineOf({ precision: 'bfloat16' })
    const whole = await engineOf()
    expect(largest(await logprobs(half), await logprobs(whole))).toBeLessThan(0.1)
    const first = await train(half, 1)
    expect(await train(half, 30)).toBeLessThan(first / 2)
    await half.saveWeights(join(folder, 'masters'))
    await half.saveOptimizer(join(folder, 'optimizer'))
    const resumed = await engineOf({ precision: 'bfloat16', initialize: false })
    await resumed.loadWeights(join(folder, 'masters'))
    await resumed.loadOptimizer(join(folder, 'optimizer'))
    expect(await train(resumed, 3)).toBe(await train(half, 3))
    await half.saveWeights(join(folder, 'narrow'), 'bfloat16')
    const sizes = await Promise.all(
      ['masters', 'narrow'].map(async (name) => (await readFile(join(folder, name))).length),
    )
    expect(sizes[1]).toBeLessThan((sizes[0] as number) * 0.6)
  })

  it.each(['bfloat16', 'int8'] as const)(
    '%s generation reports its own logprobs',
    async (generationPrecision) => {
      const engine = await engineOf({ generationPrecision })
      const { drift } = await sampleOf(engine)
      expect(drift).toBeGreaterThan(1e-6)
      expect(drift).toBeLessThan(0.2)
    },
  )

  it('caches keys and values in bfloat16: twice the tokens of the same budget', async () => {
    const block = 2 * config.layers * config.kvHeads * config.headDim * 16 * 2
    const engine = await engineOf({ kvPrecision: 'bfloat16', kvBudgetBytes: 5.5 * block })
    const { drift } = await sampleOf(engine)
    expect(drift).toBeGreaterThan(1e-6)
    expect(drift).toBeLessThan(0.1)
    expect((await engine.memoryPlan()).kvCache).toBe(5 * block)
    expect(await engine.generationStats()).toMatchObject({ kvBytesBudget: 5 * block, kvBytesUsed: 4 * block })
    const whole = await engineOf({ kvBudgetBytes: 5.5 * block })
    expect((await whole.memoryPlan()).kvCache).toBe(4 * block)
  })

  it('refuses unknown ones', () => {
    const make = (given: object) => () => new (loadAddon().Engine)({ ...resolveEngine({ config }), ...given })
    expect(make({ precision: 'float16' })).toThrow(/precision must be one of 'float32', 'bfloat16'/)
    expect(make({ generationPrecision: 'int4' })).toThrow(/'int8'/)
    expect(make({ kvPrecision: 'int8' })).toThrow(/kvPrecision must be one of 'float32', 'bfloat16'/)
  })

  it('keeps nothing for training where it is not wanted', async () => {
    const engine = await engineOf({ trainable: false })
    expect(engine.trainableParameterCount).toBe(0)
    expect(await engine.memoryPlan()).toMatchObject({ gradients: 0, optimizer: 0, activations: 0 })
    await expect(train(engine, 1)).rejects.toMatchObject({ code: 'ERR_STATE' })
    expect((await sampleOf(engine)).drift).toBeLessThan(1e-4)
  })
})

describe('weights files', () => {
  it('come in shards with an index where they are large, and are read from them', async () => {
    const engine = await engineOf()
    const expected = await logprobs(engine)
    await engine.saveWeights(join(folder, 'model.safetensors'), 'float32', 20_000)
    const { metadata, weight_map: map } = JSON.parse(
      await readFile(join(folder, 'model.safetensors.index.json'), 'utf8'),
    )
    expect(metadata.total_size).toBe(engine.parameterCount * 4)
    const shards = (await readdir(folder)).filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name))
    expect(shards.length).toBeGreaterThan(2)
    expect([...new Set(Object.values(map))].sort()).toEqual([...shards].sort())
    const loaded = await engineOf({ initialize: false })
    await loaded.loadWeights(shards.reverse().map((name) => join(folder, name)))
    expect(await logprobs(loaded)).toEqual(expected)
    const paths = shards.map((name) => join(folder, name))
    await expect(loaded.loadWeights(paths.slice(1))).rejects.toMatchObject({
      code: 'ERR_CHECKPOINT',
      message: expect.stringContaining('missing tensors'),
    })
    await writeFile(join(folder, 'copy'), await readFile(paths[0] as string))
    await expect(loaded.loadWeights([...paths, join(folder, 'copy')])).rejects.toThrow(/is in .* too/)
    expect(() => loaded.loadWeights([])).toThrow(/at least one path/)
    expect(await logprobs(loaded)).toEqual(expected)
  })
})

describe('the memory plan', () => {
  it('adds up, and follows the way of training', async () => {
    const full = await (await engineOf()).memoryPlan(64)
    const { total, resident, available, ...parts } = full
    expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(total)
    expect(resident).toBeGreaterThan(1e6)
    expect(available).toBeGreaterThan(1e6)
    expect(full.optimizer).toBe(2 * full.gradients)
    const adapted = await (await engineOf({ lora, precision: 'bfloat16', recompute: true })).memoryPlan(64)
    expect(adapted.weights).toBeLessThan(full.weights * 0.6)
    expect(adapted.gradients).toBe(adapted.adapters)
    expect(adapted.activations).toBeLessThan(full.activations)
  })

  it('is what a step is refused by before it starts', async () => {
    const engine = new (loadAddon().Engine)(
      resolveEngine({ config: { ...config, intermediateSize: 2 ** 20, hiddenSize: 2 ** 20, layers: 64 } }),
    )
    await expect(engine.ready()).rejects.toMatchObject({ code: 'ERR_MEMORY' })
    await engine.close().catch(() => undefined)
  })
})

describe('importance weights', () => {
  it('scale the policy loss token by token', async () => {
    const engine = await engineOf()
    const batch = {
      tokens,
      offsets,
      mask,
      oldLogprobs: await logprobs(engine),
      accuracyAdvantages: Float32Array.of(1, -0.5),
      efficiencyAdvantages: Float32Array.of(0, 0),
    }
    const still = resolveOptimizer({ learningRate: 0 })
    const loss = resolveLoss({})
    const plain = await engine.policyStep(batch, loss, still)
    const halved = await engine.policyStep(
      { ...batch, importanceWeights: new Float32Array(30).fill(0.5) },
      loss,
      still,
    )
    expect(halved.loss).toBeCloseTo(plain.loss / 2, 6)
    expect(halved.gradientNorm).toBeCloseTo(plain.gradientNorm / 2, 5)
    await expect(
      engine.policyStep({ ...batch, importanceWeights: new Float32Array(30).fill(-1) }, loss, still),
    ).rejects.toThrow(/importanceWeights\[1\]/)
    expect(() =>
      engine.policyStep({ ...batch, importanceWeights: new Float32Array(3) }, loss, still),
    ).toThrow(/importanceWeights must have 30 elements/)
  })
})

/** Every way to leave one key out, with its name. */
function withoutOne(options: object): [string, never][] {
  return Object.keys(options).map((name) => {
    const { [name as keyof typeof options]: _, ...rest } = options
    return [name, rest as never]
  })
}

describe('an option that is missing is refused by name', () => {
  const engine = resolveEngine({ config, lora })
  const batch = {
    tokens,
    offsets,
    mask,
    oldLogprobs: new Float32Array(30),
    accuracyAdvantages: new Float32Array(2),
    efficiencyAdvantages: new Float32Array(2),
  }
  const loss = resolveLoss({})

  it.each(withoutOne(engine).filter(([name]) => name !== 'lora'))('%s of an engine', (name, rest) => {
    expect(() => new (loadAddon().Engine)(rest)).toThrow(new RegExp(`^${name} must be`))
  })

  it.each(withoutOne(config))('config.%s', (name, rest) => {
    expect(() => new (loadAddon().Engine)({ ...engine, config: rest })).toThrow(
      new RegExp(`^config\\.${name} must be`),
    )
  })

  it.each(withoutOne(lora))('lora.%s', (name, rest) => {
    expect(() => new (loadAddon().Engine)({ ...engine, lora: rest })).toThrow(
      new RegExp(`^lora\\.${name} must be`),
    )
  })

  it.each(withoutOne(loss))('loss.%s', async (name, rest) => {
    const trained = await engineOf()
    expect(() => trained.policyStep(batch, rest, optimizer)).toThrow(new RegExp(`^loss\\.${name} must be`))
  })

  it.each(withoutOne(optimizer))('optimizer.%s', async (name, rest) => {
    const trained = await engineOf()
    expect(() => trained.supervisedStep({ tokens, offsets, mask }, rest)).toThrow(
      new RegExp(`^optimizer\\.${name} must be`),
    )
  })

  it.each(withoutOne(resolveSampling({})))('sampling.%s', async (name, rest) => {
    const sampled = await engineOf()
    const id = sampled.createSequence(tokens)
    expect(() => sampled.sample(id, rest)).toThrow(new RegExp(`^sampling\\.${name} must be`))
  })

  const advantages = {
    device: 'cpu',
    groupIds: Int32Array.of(1),
    accuracyRewards: Float32Array.of(1),
    correct: Uint8Array.of(1),
    toolCalls: Int32Array.of(1),
    epsilon: 1e-6,
    scaleByStd: true,
  }
  it.each(withoutOne(advantages))('%s of grouped advantages', (name, rest) => {
    expect(() => loadAddon().kernels.groupAdvantages(rest)).toThrow(new RegExp(`^${name} must be`))
  })
})
