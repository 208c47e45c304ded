import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { convert } from '../../lib/cli/commands/convert.js'
import { formatChoices, formatDescription, trainingChoices } from '../../lib/cli/commands/inspect.js'
import { trainingRecord } from '../../lib/cli/commands/training-record.js'
import { checkConfig } from '../../lib/cli/config/config.js'
import { sftSchema, trainSchema } from '../../lib/cli/config/config-schema.js'
import { policyOptions, splitPolicyKeys } from '../../lib/cli/config/policy-options.js'
import { startFolder } from '../../lib/cli/config/policy-schema.js'
import { createProgram } from '../../lib/cli/program.js'
import { describePolicyFolder } from '../../lib/policy/inspect.js'
import { Policy } from '../../lib/policy/policy.js'
import type { StepMetrics } from '../../lib/trainer/metrics.js'
import { writeModelFolder } from '../policy/model-folders.js'

let root: string
let tiny: string
let adapter: string
const train = {
  output: 'out',
  algorithm: { name: 'hdpo', efficiencyWeight: 0.15 },
  groupSize: 4,
  promptsPerStep: 2,
  steps: 3,
  optimizer: { learningRate: 1e-5 },
}
const tokens = Int32Array.from([5, 6, 7, 8, 9])
const offsets = Int32Array.from([0, 5])

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'hdpo-models-'))
  tiny = join(root, 'tiny')
  adapter = join(root, 'adapter')
  await writeModelFolder(tiny, { dtype: 'bfloat16' })
  writeFileSync(join(tiny, 'README.md'), '# The card of its makers\n')
  await use(tiny, { lora: { rank: 4 } }, async (policy) => {
    await policy.supervisedStep(
      { tokens, offsets, mask: Uint8Array.from([0, 1, 1, 1, 1]) },
      { learningRate: 0.05 },
    )
    await policy.saveAdapter(adapter)
  })
  vi.spyOn(console, 'log').mockImplementation(() => {})
})
afterAll(() => {
  vi.restoreAllMocks()
  rmSync(root, { recursive: true })
})

async function use<T>(
  folder: string,
  options: Parameters<typeof Policy.load>[1],
  run: (policy: Policy) => Promise<T>,
) {
  const policy = await Policy.load(folder, { threads: 1, ...options })
  try {
    return await run(policy)
  } finally {
    await policy.close()
  }
}
const logprobs = async (policy: Policy) => Array.from((await policy.logprobs(tokens, offsets)).logprobs)
const storedAs = async (folder: string) => (await describePolicyFolder(folder)).storedAs

describe('config keys', () => {
  const base = { ...train, model: './Qwen3-0.6B' }
  const check = (config: object) => checkConfig(config, trainSchema, 'train.yaml')

  it('name the model, and say how it is held and trained', () => {
    const config = check({
      ...base,
      precision: 'bfloat16',
      generationPrecision: 'int8',
      lora: { rank: 32, targetModules: ['q_proj'] },
      kvBudgetMiB: 64,
      kvPrecision: 'bfloat16',
      templateVariables: { enable_thinking: false },
      base: '../base',
    })
    expect(startFolder(config, 'train.yaml', '/runs')).toBe('/runs/Qwen3-0.6B')
    expect(policyOptions(config, '/runs/a')).toEqual({
      precision: 'bfloat16',
      generationPrecision: 'int8',
      lora: { rank: 32, targetModules: ['q_proj'] },
      kvBudgetBytes: 64 * 2 ** 20,
      kvPrecision: 'bfloat16',
      templateVariables: { enable_thinking: false },
      base: '/runs/base',
    })
    expect(splitPolicyKeys(config).settings).toEqual(base)
  })

  it('are refused where they are wrong', () => {
    expect(() => startFolder(check(train), 'train.yaml', '/')).toThrow(/exactly one of policy and model/)
    expect(() => startFolder(check({ ...base, policy: 'x' }), 'train.yaml', '/')).toThrow(/exactly one of/)
    expect(() => check({ ...base, lora: {} })).toThrow(
      'lora.rank: must be a whole number from 1 to 1024, got undefined',
    )
    expect(() => check({ ...base, lora: { rank: 8, targetModules: ['lm_head'] } })).toThrow(
      /lora\.targetModules\[0\]: must be one of q_proj/,
    )
    expect(() => check({ ...base, lora: { rank: 8, r: 8 } })).toThrow(/lora\.r: must be left out/)
    expect(() => check({ ...base, precision: 'int4' })).toThrow(
      /precision: must be one of float32, bfloat16, got 'int4'/,
    )
  })

  it('may name a model, or sizes of a fresh one, for sft', () => {
    const sft = { output: 'out', optimizer: { learningRate: 1e-4 }, tokensPerStep: 1000 }
    expect(checkConfig({ ...sft, model: './Qwen3-0.6B' }, sftSchema, 'sft.yaml').model).toBe('./Qwen3-0.6B')
    const sizes = { hiddenSize: 64, layers: 2, heads: 4, intermediateSize: 128, maxPositions: 64 }
    expect(checkConfig({ ...sft, model: sizes }, sftSchema, 'sft.yaml').model).toEqual(sizes)
    const { layers: _, ...without } = sizes
    expect(() => checkConfig({ ...sft, model: without }, sftSchema, 'sft.yaml')).toThrow(
      /model\.layers: must be a whole number of at least 1, got undefined/,
    )
  })
})

describe('what the model card says of a training', () => {
  it('is its settings and the same measurements before and after', () => {
    const config = checkConfig({ ...train, model: 'x', lora: { rank: 8 } }, trainSchema, 'train.yaml')
    const evaluation = { accuracy: 0.75, callsPerRollout: 0.25 }
    const metrics = [1, 2, 3, 4, 5, 6, 7].map((step) => ({ step, ...(step === 6 && { evaluation }) }))
    const before = { accuracy: 0.5, callsPerRollout: 1 }
    const record = trainingRecord(config, metrics as unknown as StepMetrics[], before)
    expect(record).toMatchObject({
      method: 'hdpo',
      steps: 7,
      settings: { efficiencyWeight: 0.15, 'LoRA rank': 8 },
      before: { 'calls per rollout': 1 },
      after: { 'accuracy on held-out questions': 0.75 },
    })
  })
})

describe('hdpo inspect', () => {
  it('says what a folder is', async () => {
    const description = await describePolicyFolder(tiny)
    expect(description).toMatchObject({
      architecture: 'qwen3',
      weightFiles: 1,
      endTokens: ['<|im_end|>'],
      toolFormat: 'hermes',
      writesCalls: true,
      readsTools: false,
      thinkingSwitch: false,
    })
    expect(description.storedAs).toEqual({ BF16: description.parameters })
    const text = formatDescription(description)
    expect(text).toMatch(/Weights\s+BF16, 0\.1 MB in one file/)
    expect(text).toMatch(/Tools\s+the chat template does not show tools to the model/)
  })

  it('says what an adapter is of', async () => {
    const description = await describePolicyFolder(adapter)
    expect(description.adapter).toMatchObject({ rank: 4, alpha: 8, base: tiny })
    expect(formatDescription(description)).toContain('LoRA, rank 4, alpha 8')
  })

  it('reckons every way of training against the memory there is', async () => {
    const description = await describePolicyFolder(tiny)
    const settings = { rank: 8, microBatchTokens: 256 }
    const rich = trainingChoices(description, settings, { free: 1e12, total: 1e12 })
    expect(rich.map(({ fits }) => fits)).toEqual(rich.map(() => 'yes'))
    const poor = trainingChoices(description, settings, { free: 0, total: 1e6 })
    expect(poor.map(({ fits }) => fits)).toEqual(poor.map(() => 'no'))
    const table = formatChoices(rich)
    expect(table).toMatch(/LoRA 8, bfloat16, recompute/)
    const total = (name: string) => rich.find((choice) => choice.name === name)?.memory.total ?? 0
    expect(total('LoRA 8, bfloat16')).toBeLessThan(total('full, float32'))
  })

  it('prints both, or JSON', async () => {
    const printed = vi.mocked(console.log)
    await createProgram().parseAsync(['node', 'hdpo', 'inspect', tiny])
    expect(printed.mock.lastCall?.[0]).toMatch(/Architecture[\s\S]*fits here/)
    await createProgram().parseAsync(['node', 'hdpo', 'inspect', tiny, '--json'])
    expect(JSON.parse(String(printed.mock.lastCall?.[0]))).toMatchObject({
      path: tiny,
      training: expect.any(Array),
    })
  })
})

describe('hdpo convert', () => {
  it('keeps the type by default, changes it where asked, and keeps the card', async () => {
    const [same, wide] = [join(root, 'same'), join(root, 'wide')]
    await convert(tiny, same, {})
    expect(Object.keys(await storedAs(same))).toEqual(['BF16'])
    expect(readFileSync(join(same, 'model.safetensors'))).toEqual(
      readFileSync(join(tiny, 'model.safetensors')),
    )
    expect(readFileSync(join(same, 'README.md'), 'utf8')).toBe('# The card of its makers\n')
    await convert(tiny, wide, { dtype: 'float32' })
    expect(Object.keys(await storedAs(wide))).toEqual(['F32'])
    expect(await use(wide, {}, logprobs)).toEqual(await use(tiny, {}, logprobs))
  })

  it('merges an adapter, named or as the folder itself', async () => {
    const expected = await use(adapter, {}, logprobs)
    const [named, itself] = [join(root, 'named'), join(root, 'itself')]
    await convert(tiny, named, { merge: adapter, dtype: 'float32' })
    await convert(adapter, itself, { dtype: 'float32' })
    for (const folder of [named, itself]) {
      const merged = await use(folder, {}, logprobs)
      const difference = merged.map((value, index) => Math.abs(value - (expected[index] as number)))
      expect(Math.max(...difference)).toBeLessThan(1e-4)
      expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain('merged')
    }
  })

  it('refuses to write over what it reads, and an adapter that is none', async () => {
    await expect(convert(tiny, tiny, {})).rejects.toThrow(/is the folder that is read/)
    await expect(convert(tiny, join(root, 'x'), { merge: tiny })).rejects.toThrow(/holds no adapter/)
  })
})
