// Every supported architecture against an independent implementation in PyTorch (reference.py): logits and gradients.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAddon, type NativeEngine } from '../../lib/native/addon.js'
import { resolveEngine } from '../../lib/native/engine-options.js'
import { parseModelConfig } from '../../lib/policy/model-config.js'
import { readFloats } from '../policy/read-safetensors.js'

const fixtures = join(import.meta.dirname, 'fixtures')
const allowed = 1e-4

interface Expected {
  tokens: number[][]
  logprobs: number[][]
  lastRow: number[]
  loss: number
}

describe.each(['qwen2', 'qwen3', 'llama2', 'llama3.1', 'smollm2', 'mistral'])('%s', (name) => {
  const read = (file: string) => JSON.parse(readFileSync(join(fixtures, name, file), 'utf8'))
  const { tokens, logprobs, lastRow, loss } = read('expected.json') as Expected
  const config = parseModelConfig(read('config.json'), `${name}/config.json`)
  const [first] = tokens as [number[]]
  let engine: NativeEngine
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hdpo-parity-'))
    engine = new (loadAddon().Engine)(resolveEngine({ config, threads: 1 }))
    await engine.loadWeights(join(fixtures, name, 'model.safetensors'))
  })
  afterAll(async () => {
    await engine.close()
    rmSync(folder, { recursive: true })
  })

  it(`has the logprobs of the reference to ${allowed}`, async () => {
    const packed = pack(tokens)
    const result = await engine.logprobs(packed.tokens, packed.offsets, 1, false)
    // A sequence's first token has no logprob.
    expectClose(
      Array.from(result.logprobs),
      logprobs.flatMap((row) => [0, ...row]),
    )
  })

  it(`has every logit of a position to ${allowed}, up to their common constant`, async () => {
    const packed = pack(lastRow.map((_, token) => [...first, token]))
    const result = await engine.logprobs(packed.tokens, packed.offsets, 1, false)
    expectClose(
      lastRow.map((_, token) => result.logprobs[(token + 1) * (first.length + 1) - 1] as number),
      lastRow,
    )
  })

  it(`has the gradient of the reference to ${allowed} of each tensor's largest`, async () => {
    const before = readFloats(join(fixtures, name, 'model.safetensors'))
    const gradients = readFloats(join(fixtures, name, 'gradients.safetensors'))
    const packed = pack(tokens)
    const mask = Uint8Array.from(packed.tokens, (_, place) => (packed.offsets.includes(place) ? 0 : 1))
    const step = await engine.supervisedStep({ ...packed, mask }, gradientDescent)
    expect(step.supervisedLoss).toBeCloseTo(loss, 5)
    const path = join(folder, 'stepped.safetensors')
    await engine.saveWeights(path)
    const after = readFloats(path)
    expect([...gradients.keys()].sort()).toEqual([...after.keys()].sort())
    for (const [key, gradient] of gradients) {
      const [start, end] = [before.get(key), after.get(key)] as [Float32Array, Float32Array]
      const largest = Math.max(...gradient.map(Math.abs))
      const difference = gradient.map((value, at) =>
        Math.abs(gradientOf((start[at] as number) - (end[at] as number)) - value),
      )
      expect(Math.max(...difference) / largest, key).toBeLessThan(allowed)
    }
  })
})

it('the fixture of Llama 3.1 tells whether its rope scaling is computed', async () => {
  const folder = join(fixtures, 'llama3.1')
  const { ropeScaling, ...config } = parseModelConfig(
    JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')),
    'config.json',
  )
  const { tokens, logprobs } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected
  const engine = new (loadAddon().Engine)(resolveEngine({ config, threads: 1 }))
  await engine.loadWeights(join(folder, 'model.safetensors'))
  const packed = pack(tokens)
  const result = await engine.logprobs(packed.tokens, packed.offsets, 1, false)
  await engine.close()
  const expected = logprobs.flatMap((row) => [0, ...row])
  const difference = expected.map((value, place) => Math.abs(value - (result.logprobs[place] as number)))
  expect(ropeScaling).toMatchObject({ factor: 8 })
  expect(Math.max(...difference)).toBeGreaterThan(100 * allowed)
})

/**
 * Adam whose moments have no memory takes steps of learningRate * g / (|g| + epsilon), from which g can be computed. A small
 * epsilon makes the steps large, so that they are not lost in the rounding of the weights.
 */
const epsilon = 1 / 16
const gradientDescent = {
  learningRate: 1,
  beta1: 0,
  beta2: 0,
  epsilon,
  weightDecay: 0,
  maxGradientNorm: 0,
}
const gradientOf = (step: number): number => (epsilon * step) / (1 - Math.abs(step))

function pack(sequences: readonly number[][]): { tokens: Int32Array; offsets: Int32Array } {
  const offsets = [0]
  for (const sequence of sequences) offsets.push((offsets.at(-1) as number) + sequence.length)
  return { tokens: Int32Array.from(sequences.flat()), offsets: Int32Array.from(offsets) }
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length)
  const difference = actual.map((value, index) => Math.abs(value - (expected[index] as number)))
  expect(Math.max(...difference)).toBeLessThan(allowed)
}
