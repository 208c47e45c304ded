import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { writeDemoModel } from '../../lib/cli/commands/demo-model.js'
import { init } from '../../lib/cli/commands/init.js'
import { loadConfig } from '../../lib/cli/config/config.js'
import { curateSchema, sftSchema, trainSchema } from '../../lib/cli/config/config-schema.js'
import { starterConfig, starterNames } from '../../lib/cli/config/starter-configs.js'
import { Policy } from '../../lib/policy/policy.js'

let folder: string
let printed: string
const put = (name: string, text: string) => writeFileSync(join(folder, name), text)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-init-'))
  printed = ''
  vi.spyOn(console, 'log').mockImplementation((line: string) => {
    printed += `${line}\n`
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

const schemas = { train: trainSchema, sft: sftSchema, curate: curateSchema }
const paths = { policy: 'a model', tasks: 'q: 1.jsonl', tools: ['./tools.ts', 'python'], traces: '2024' }

it.each(starterNames.flatMap((name) => [false, true].map((isTiny) => [name, isTiny] as const)))(
  'the config of %s (tiny: %s) is one, with any path, and no key of it is what another config has',
  async (name, isTiny) => {
    const path = join(folder, `${name}.yaml`)
    writeFileSync(path, starterConfig(name, paths, { isTiny }))
    const { config } = await loadConfig<(typeof schemas)[typeof name]>(path, schemas[name])
    expect(config).toMatchObject({ policy: 'a model', tools: ['./tools.ts', 'python'] })
    expect(JSON.stringify(config)).toContain(name === 'sft' ? '"path":"2024"' : 'q: 1.jsonl')
    expect('lora' in config).toBe(!isTiny && name !== 'curate')
  },
)

it('finds a model, questions, tools and conversations by what files hold', async () => {
  mkdirSync(join(folder, 'small'))
  put('small/config.json', '{"hidden_size":128}')
  put('small/tokenizer.json', '{}')
  mkdirSync(join(folder, 'data'))
  put(
    'data/a-log.jsonl',
    '\n{"messages":[{"role":"user","content":"?"},{"role":"assistant","content":"!"}]}\n',
  )
  put('data/b.jsonl', '{"question":"?","answer":"!"}\n')
  put('data/broken.jsonl', '{')
  put('data/other.jsonl', '{"messages":[{"role":"user","content":"?"}]}\n')
  mkdirSync(join(folder, 'src'))
  put('src/tools.ts', 'export default []')
  await init(folder, {})
  const { config } = await loadConfig(join(folder, 'train.yaml'), trainSchema)
  expect(config).toMatchObject({
    policy: 'small',
    tasks: { path: 'data/b.jsonl' },
    tools: ['./src/tools.ts'],
    optimizer: { learningRate: 4e-4 },
  })
  expect(config).not.toHaveProperty('lora')
  const supervised = await loadConfig(join(folder, 'sft.yaml'), sftSchema)
  expect(supervised.config).toMatchObject({ policy: 'small', conversations: { path: 'data/a-log.jsonl' } })
  expect(printed).toContain('Next: hdpo sft sft.yaml')
  expect(printed).not.toContain('not found')
})

it('says what is not found, and writes no config that nothing is there for', async () => {
  await init(folder, {})
  expect(readdirSync(folder)).toEqual(['train.yaml'])
  expect(printed).toContain(
    'demo-model is not found: a model\'s folder, or "hdpo demo-model demo-model" for a tiny one',
  )
  expect(printed).toContain('questions.jsonl is not found')
  expect(printed).toContain('Next: put what was not found into its place')
})

it('leaves configs alone, and refuses paths that are not there', async () => {
  put('sft.yaml', 'mine')
  put('log.jsonl', '{"messages":[{"role":"assistant","content":"!"}]}\n')
  await expect(init(folder, {})).rejects.toThrow('sft.yaml: there already, and nothing was written')
  expect(readdirSync(folder)).toEqual(['log.jsonl', 'sft.yaml'])
  expect(readFileSync(join(folder, 'sft.yaml'), 'utf8')).toBe('mine')
  await expect(init(folder, { policy: folder })).rejects.toThrow('holds no model')
  await expect(init(folder, { tasks: 'no-such.jsonl' })).rejects.toThrow('--tasks: there is no no-such.jsonl')
})

it('a demo model loads, is tiny, and is written over nothing', async () => {
  const target = join(folder, 'demo')
  await writeDemoModel(target)
  const policy = await Policy.load(target, { trainable: false })
  await policy.close()
  await expect(writeDemoModel(target)).rejects.toThrow('is there already')
  await init(folder, {})
  expect(readFileSync(join(folder, 'train.yaml'), 'utf8')).toContain('learningRate: 4.0e-4')
})
