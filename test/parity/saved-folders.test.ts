// Saved folders opened by a reader that shares no code with hdpo (read_folder.py): logprobs of models in one file and in shards, of
// adapters merged and beside their base. The reader itself is checked against PyTorch with the fixtures of reference.py.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Policy, PolicyOptions } from '../../lib/policy/policy.js'
import { writeModelFolder } from '../policy/model-folders.js'
import { publishedConfigs } from '../policy/published-configs.js'
import { withPolicy } from '../policy/with-policy.js'

const allowed = 1e-4
const tokens = [970, 11, 1879, 0, 383, 374, 279, 672, 315, 962, 30, 2039]
const batch = {
  tokens: Int32Array.from(tokens),
  offsets: Int32Array.of(0, tokens.length),
  mask: Uint8Array.from(tokens, (_, place) => (place === 0 ? 0 : 1)),
}

interface Job {
  folder: string
  adapter?: string
  tokens: number[]
}

function readerLogprobs(jobs: Job[]): number[][] {
  const script = join(import.meta.dirname, 'read_folder.py')
  const { status, stdout, stderr, error } = spawnSync('python3', [script], {
    input: JSON.stringify(jobs),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (error) throw error
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as number[][]
}

const largestDifference = (a: readonly number[], b: readonly number[]): number => {
  expect(a).toHaveLength(b.length)
  return Math.max(...a.map((value, index) => Math.abs(value - (b[index] as number))))
}

async function ownLogprobs(policy: Policy): Promise<number[]> {
  const { logprobs } = await policy.logprobs(batch.tokens, batch.offsets)
  return Array.from(logprobs.subarray(1))
}

/** Moves norms, biases and B away from 1 and 0, where they could not be told apart. */
async function train(policy: Policy): Promise<void> {
  for (let step = 0; step < 3; step++) await policy.supervisedStep(batch, { learningRate: 0.05 })
}

describe.each(['qwen2', 'qwen3', 'llama2', 'llama3.1', 'smollm2', 'mistral'])('the reader, of %s', (name) => {
  it(`has PyTorch's logprobs to ${allowed}`, () => {
    const folder = join(import.meta.dirname, 'fixtures', name)
    const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'))
    const jobs = (expected.tokens as number[][]).map((sequence) => ({ folder, tokens: sequence }))
    for (const [index, logprobs] of readerLogprobs(jobs).entries()) {
      expect(largestDifference(logprobs, expected.logprobs[index])).toBeLessThan(allowed)
    }
  })
})

describe.each(Object.entries(publishedConfigs))('%s', (_, config) => {
  let root: string
  let own: Record<'whole' | 'sharded' | 'stabilized' | 'adapted', number[]>
  const place = (part: string) => join(root, part)

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'hdpo-parity-'))
    await writeModelFolder(place('drawn'), { config })
    const whole = await withPolicy(place('drawn'), {}, async (policy) => {
      await train(policy)
      await policy.save(place('whole'))
      await policy.save(place('sharded'), { dtype: 'bfloat16', maxShardBytes: 60_000 })
      return ownLogprobs(policy)
    })
    const sharded = await withPolicy(place('sharded'), {}, ownLogprobs)
    const adapted = await withPolicy(place('whole'), { lora: { rank: 4, alpha: 12 } }, async (policy) => {
      await train(policy)
      await policy.saveAdapter(place('adapter'))
      await policy.save(place('merged'))
      return ownLogprobs(policy)
    })
    const options: PolicyOptions = {
      lora: { rank: 4, rankStabilized: true, targetModules: ['v_proj', 'down_proj'] },
    }
    const stabilized = await withPolicy(place('whole'), options, async (policy) => {
      await train(policy)
      await policy.saveAdapter(place('stabilized'))
      return ownLogprobs(policy)
    })
    own = { whole, sharded, adapted, stabilized }
  })
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  it(`has the reader's logprobs to ${allowed}: whole, in shards, merged, and with an adapter`, () => {
    const [whole, sharded, merged, adapted, stabilized] = readerLogprobs([
      { folder: place('whole'), tokens },
      { folder: place('sharded'), tokens },
      { folder: place('merged'), tokens },
      { folder: place('whole'), adapter: place('adapter'), tokens },
      { folder: place('whole'), adapter: place('stabilized'), tokens },
    ]) as [number[], number[], number[], number[], number[]]
    expect(largestDifference(whole, own.whole)).toBeLessThan(allowed)
    expect(largestDifference(sharded, own.sharded)).toBeLessThan(allowed)
    expect(largestDifference(merged, own.adapted)).toBeLessThan(allowed)
    expect(largestDifference(adapted, own.adapted)).toBeLessThan(allowed)
    expect(largestDifference(stabilized, own.stabilized)).toBeLessThan(allowed)
    // If the adapter were left out, it would show.
    expect(largestDifference(whole, own.adapted)).toBeGreaterThan(100 * allowed)
    expect(largestDifference(whole, own.stabilized)).toBeGreaterThan(100 * allowed)
  })
})

it('the reader refuses a folder that lacks a tensor', async () => {
  const root = mkdtempSync(join(tmpdir(), 'hdpo-parity-'))
  const config = publishedConfigs['Qwen 3'] as Record<string, unknown>
  await writeModelFolder(root, { config })
  writeFileSync(join(root, 'config.json'), JSON.stringify({ ...config, tie_word_embeddings: false }))
  expect(() => readerLogprobs([{ folder: root, tokens }])).toThrow(
    /missing or unexpected: \['lm_head.weight'\]/,
  )
  rmSync(root, { recursive: true })
})
