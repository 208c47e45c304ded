import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { checkConfig, loadConfig } from '../../lib/cli/config/config.js'
import { trainSchema } from '../../lib/cli/config/config-schema.js'

const valid = {
  policy: 'policy',
  environment: 'atlas',
  output: 'runs/one',
  algorithm: { name: 'hdpo' },
  groupSize: 8,
  promptsPerStep: 4,
  steps: 10,
  optimizer: { learningRate: 1e-4 },
}

function messageFor(change: Record<string, unknown>): string {
  try {
    checkConfig({ ...valid, ...change }, trainSchema, 'run.yaml')
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_CONFIG' })
    return (error as Error).message
  }
  throw new Error('the config was accepted')
}

describe('checkConfig', () => {
  it('takes a valid config', () => {
    expect(checkConfig(valid, trainSchema, 'run.yaml')).toMatchObject(valid)
  })

  const mistakes: [string, Record<string, unknown>, string][] = [
    [
      'a misspelt key',
      { groupsize: 8 },
      'run.yaml: groupsize: must be left out (there is no such option; did you mean groupSize?), got 8',
    ],
    [
      'a misspelt nested key',
      { optimizer: { learningRate: 1e-4, warmupStep: 3 } },
      'run.yaml: optimizer.warmupStep: must be left out (there is no such option; did you mean warmupSteps?), got 3',
    ],
    [
      'a wrong choice',
      { algorithm: { name: 'ppo' } },
      "run.yaml: algorithm.name: must be one of hdpo, grpo, grpo-coupled, gdpo, got 'ppo'",
    ],
    ['a wrong type', { steps: 'ten' }, "run.yaml: steps: must be a whole number of at least 1, got 'ten'"],
    ['a fraction', { steps: 1.5 }, 'run.yaml: steps: must be a whole number of at least 1, got 1.5'],
    [
      'too small a number',
      { groupSize: 0 },
      'run.yaml: groupSize: must be a whole number of at least 2, got 0',
    ],
    [
      'nothing to learn with',
      { optimizer: { learningRate: 0 } },
      'run.yaml: optimizer.learningRate: must be greater than 0 and at most 1, got 0',
    ],
    [
      'a misspelt key in one of several forms',
      { tasks: { path: 'x.parquet', columns: { questoin: 'q' } } },
      "run.yaml: tasks.columns.questoin: must be left out (there is no such option; did you mean question?), got 'q'",
    ],
    ['none of several forms', { tasks: 5 }, 'run.yaml: tasks: must be text, a list or an object, got 5'],
    [
      'a key of an API in the config',
      {
        reward: { answer: 'llm-judge', judge: { baseURL: 'http://x', model: 'm', apiKey: 'a real secret!' } },
      },
      'run.yaml: reward.judge.apiKey: must be left out (there is no such option; known: baseURL, model, apiKeyVariable, votes, ' +
        'temperature, jsonMode, body, concurrency, retries, timeout, minimumDelay, maximumDelay, rubric, cacheFolder), ' +
        'got 14 characters',
    ],
    [
      'a missing key',
      { optimizer: {} },
      'run.yaml: optimizer.learningRate: must be a number greater than 0 and at most 1, got undefined',
    ],
  ]
  it.each(mistakes)('names %s', (_, change, message) => {
    expect(messageFor(change)).toBe(message)
  })

  it('lists the known keys when nothing is near', () => {
    expect(messageFor({ evaluate: { every: 2, colour: 'red' } })).toBe(
      "run.yaml: evaluate.colour: must be left out (there is no such option; known: every, samples, tasks), got 'red'",
    )
  })

  it('reports every mistake, a line each', () => {
    expect(messageFor({ steps: 0, groupSize: 0 }).split('\n')).toHaveLength(2)
  })

  it('refuses an empty file', () => {
    expect(() => checkConfig(null, trainSchema, 'run.yaml')).toThrow(
      'run.yaml: must hold a mapping of keys to values, got null',
    )
  })
})

describe('loadConfig', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hdpo-config-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  async function load(name: string, text: string) {
    await writeFile(join(folder, name), text)
    return loadConfig(join(folder, name), trainSchema)
  }

  it('reads YAML', async () => {
    const yaml = [
      'policy: policy',
      'environment: atlas',
      'output: runs/one',
      'algorithm: { name: hdpo }',
      'groupSize: 8',
      'promptsPerStep: 4',
      'steps: 10',
      'optimizer:',
      '  learningRate: 1.0e-4',
    ].join('\n')
    expect(await load('run.yaml', yaml)).toMatchObject({ config: valid, folder })
  })

  it('reads TypeScript, with tasks and tools in it', async () => {
    const text = `
      const steps: number = 10
      export default {
        ...${JSON.stringify(valid)},
        steps,
        tasks: [{ id: 'one', messages: [{ role: 'user', content: '1 + 1' }], answer: 2 }],
        tools: ['calculator', { name: 'echo', description: '', parameters: {}, validate: (x: unknown) => x, run: (x: unknown) => x }],
      }`
    const { config } = await load('run.ts', text)
    expect(config).toMatchObject({
      steps: 10,
      tasks: [{ answer: 2 }],
      tools: ['calculator', { name: 'echo' }],
    })
  })

  it('says what is wrong with a file', async () => {
    await expect(load('run.yaml', 'a: [1')).rejects.toThrow(/run\.yaml: is not YAML/)
    await expect(load('run.toml', '')).rejects.toThrow(/ends in one of \.yaml/)
    await expect(load('run.mjs', 'export const steps = 1')).rejects.toThrow(/has no default export/)
    await expect(loadConfig(join(folder, 'absent.yaml'), trainSchema)).rejects.toThrow(
      'absent.yaml: there is no such file or folder (ENOENT)',
    )
  })

  it.each([
    ['environmentSettings: &a { deep: [1, *a] }', 'environmentSettings.deep[1]: must not hold itself'],
    ['&a [*a]', '[0]: must not hold itself'],
    ['&a\nseed: *a', 'seed: must not hold itself'],
    [
      'seed: 7301456228930019841',
      'seed: 7301456228930019841 is beyond the integers that a number holds exactly',
    ],
    [
      'environmentSettings: { ids: [1, -9007199254740993] }',
      'environmentSettings.ids[1]: -9007199254740993 is beyond',
    ],
    ['tools: *none', 'is not YAML: Unresolved alias'],
    [`tools: ${'['.repeat(20_000)}${']'.repeat(20_000)}`, 'is not YAML'],
    [`tools: ${'- '.repeat(20_000)}`, 'is not YAML: nested deeper'],
    ['null', 'must hold a mapping of keys to values, got null'],
    ['"text"', "must hold a mapping of keys to values, got 'text'"],
    ['- 1', 'must hold a mapping of keys to values, got [ 1 ]'],
  ])('names the key of what no config can hold: %.40s', async (text, message) => {
    const path = join(folder, 'odd.yaml')
    await expect(load('odd.yaml', text)).rejects.toMatchObject({ code: 'ERR_CONFIG' })
    await expect(load('odd.yaml', text)).rejects.toThrow(`${path}: ${message}`)
  })

  it('takes an anchor that is used twice', async () => {
    const schema = z.object({ a: z.object({ b: z.number() }), c: z.object({ b: z.number() }) })
    await expect(load('twice.yaml', 'a: &x { b: 1 }\nc: *x')).rejects.toThrow('a: must be left out')
    expect((await loadConfig(join(folder, 'twice.yaml'), schema)).config).toEqual({
      a: { b: 1 },
      c: { b: 1 },
    })
  })
})
