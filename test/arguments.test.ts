// Every function and class that the package exports, and every method of a policy, called with what they do not take: whoever does
// so is told by an error with a code, never by a bare TypeError about the inside ("rollouts.map is not a function").
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as families from '../lib/families.js'
import * as entry from '../lib/index.js'
import * as kernelsEntry from '../lib/kernels.js'
import { writeModelFolder } from './policy/model-folders.js'

const folder = mkdtempSync(join(tmpdir(), 'hdpo-arguments-'))
await writeModelFolder(join(folder, 'model'), { seed: 1 })
const policy = await entry.Policy.load(join(folder, 'model'), { threads: 1 })
const before = process.cwd()
beforeAll(() => process.chdir(folder))
afterAll(async () => {
  process.chdir(before)
  await policy.close()
  rmSync(folder, { recursive: true, force: true })
})

const unhandled: unknown[] = []
const remember = (reason: unknown) => unhandled.push(reason)
beforeEach(() => process.on('unhandledRejection', remember))
afterEach(() => process.off('unhandledRejection', remember))

const circular: Record<string, unknown> = {}
circular.self = circular
const wrong: [string, unknown][] = [
  ['null', null],
  ['nothing', undefined],
  ['a number', 5],
  ['NaN', Number.NaN],
  ['text', 'x'],
  ['text with NUL', 'a\0b'],
  ['{}', {}],
  ['[]', []],
  ['[null]', [null]],
  ['[5]', [5]],
  ['[{}]', [{}]],
  ['a function', () => undefined],
  ['a symbol', Symbol('x')],
  ['2n', 2n],
  ['a circle', circular],
  ['a controller', new AbortController()],
  ['{ signal: a controller }', { signal: new AbortController() }],
]

const task = { id: 't', messages: [{ role: 'user', content: 'q' }], answer: '1' }
const reward = { answer: entry.exactMatch() }
/** Arguments that fit, so that each is wrong alone. Where there are none, {} stands before a wrong one. */
const fitting: Record<string, unknown[]> = {
  runGroup: [policy, task, [], { size: 2, maxTokens: 4 }],
  scoreRollouts: [[], task, reward],
  assignAdvantages: [[[]], { name: 'hdpo' }],
  packPolicyBatch: [[]],
  jsonl: ['none.jsonl', {}],
  openTasks: ['none.jsonl', {}],
  readConversations: ['none.jsonl', {}],
  buildTextIndex: [[{ id: 'a', text: 'b' }], {}],
  addSecret: ['a secret of yours', 'name'],
  verifier: [() => true, {}],
  fromAiSdk: [{}, {}],
  'Policy.load': ['model', {}],
  'policy.save': ['saved', {}],
  'policy.saveAdapter': ['saved', {}],
  'policy.logprobs': [Int32Array.of(1, 2), Int32Array.of(0, 2), {}],
  'policy.policyStep': [{}, {}, { learningRate: 0.1 }],
  'policy.supervisedStep': [{}, { learningRate: 0.1 }],
}
/** Errors are made by whoever throws them; what starts an interpreter takes {} and nothing. */
const left = /Error$|^EndedEvaluation$/
const starts = /^(pythonTool|javascriptTool)$/

type Callable = (...given: unknown[]) => unknown

function callables(): [string, Callable, number][] {
  const found: [string, Callable, number][] = []
  const add = (name: string, value: unknown, self?: object) => {
    if (typeof value !== 'function' || left.test(name)) return
    const isClass = value.toString().startsWith('class ')
    const call: Callable = isClass
      ? (...given) => new (value as new (...given: unknown[]) => unknown)(...given)
      : (...given) => (value as Callable).apply(self, given)
    found.push([name, call, Math.max(value.length, fitting[name]?.length ?? 0, 1)])
  }
  for (const module of [entry, families]) for (const [name, value] of Object.entries(module)) add(name, value)
  for (const [name, value] of Object.entries(kernelsEntry.kernels))
    add(`kernels.${name}`, value, kernelsEntry.kernels)
  for (const name of ['load', 'create'] as const) add(`Policy.${name}`, entry.Policy[name], entry.Policy)
  for (const name of Object.getOwnPropertyNames(entry.Policy.prototype)) {
    const { value } = Object.getOwnPropertyDescriptor(entry.Policy.prototype, name) ?? {}
    if (!['constructor', 'close'].includes(name)) add(`policy.${name}`, value, policy)
  }
  return found
}

/** What is wrong with how a call was refused; undefined where it was refused by name, or taken. */
async function fault(call: () => unknown): Promise<string | undefined> {
  try {
    const result = (await call()) as { close?: () => Promise<void> } | undefined
    if (result instanceof entry.Policy) await result.close()
    return undefined
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string }
    if (!(error instanceof entry.HdpoError)) return `${(error as Error).name} ${String(code)}: ${message}`
    return message.includes('is not a function') || message.includes('Cannot read') ? message : undefined
  }
}

describe('what is exported refuses by name what it does not take', () => {
  it.each(callables())(
    '%s',
    async (name, call, count) => {
      const faults: string[] = []
      for (let position = 0; position < count; position++) {
        for (const [kind, value] of wrong) {
          if (starts.test(name) && (kind === '{}' || kind === 'nothing')) continue
          const given = [...(fitting[name] ?? [])]
          while (given.length < position) given.push({})
          given[position] = value
          const found = await fault(() => call(...given))
          if (found !== undefined) faults.push(`argument ${position + 1}, ${kind}: ${found}`)
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
      expect(faults).toEqual([])
      expect(unhandled).toEqual([])
    },
    60_000,
  )

  it('and opens no path at what stands before a NUL', async () => {
    const path = 'cut\0off'
    const refused = {
      code: 'ERR_OPTION',
      message: expect.stringContaining('must be a path without NUL characters'),
    }
    for (const opened of [
      () => policy.save(path),
      () => policy.saveWeights(path),
      () => policy.loadWeights(path),
      () => policy.loadWeights(['model/model.safetensors', path]),
      () => policy.saveOptimizer(path),
      () => policy.loadOptimizer(path),
      () => policy.saveCheckpoint(path),
      () => policy.loadCheckpoint(path),
      () => entry.Policy.load(path),
      () => entry.jsonl(path),
      () => entry.readConversations(path),
      () => entry.openTasks('x.jsonl', { temporaryFolder: path }),
      async () => entry.tensorBoard({ folder: path }),
      () => entry.curate({ policy, tasks: [], tools: [], reward, traces: [], output: path }),
    ]) {
      await expect(opened()).rejects.toMatchObject(refused)
    }
    expect(readdirSync(folder).filter((name) => name.startsWith('cut'))).toEqual([])
  })

  it('a controller in place of its signal, before anything begins', async () => {
    const signal = new AbortController() as unknown as AbortSignal
    const refused = {
      code: 'ERR_OPTION',
      message: expect.stringMatching(/signal: must be an AbortSignal, got AbortController/),
    }
    const trainer = new entry.Trainer({
      policy,
      tasks: [task as entry.Task],
      tools: [],
      reward,
      algorithm: { name: 'hdpo' },
      groupSize: 2,
      promptsPerStep: 1,
      steps: 1,
      optimizer: { learningRate: 0.001 },
      output: 'never',
    })
    expect(() => trainer.run({ signal })).toThrow(expect.objectContaining(refused))
    expect(readdirSync(folder)).not.toContain('never')
    const asked = { policy, tasks: [task as entry.Task], tools: [], reward, signal }
    await expect(entry.evaluate(asked)).rejects.toMatchObject(refused)
    await expect(entry.measureKnown(asked)).rejects.toMatchObject(refused)
    await expect(entry.runGroup(policy, task as entry.Task, [], { size: 1, signal })).rejects.toMatchObject(
      refused,
    )
    await expect(entry.jsonl('x.jsonl', { signal })).rejects.toMatchObject(refused)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(unhandled).toEqual([])
  })

  it('a temperature of 0 for logprobs, which would divide by it', async () => {
    const [tokens, offsets] = [Int32Array.of(1, 2, 3), Int32Array.of(0, 3)]
    for (const temperature of [0, -1, Number.NaN, 1e-40]) {
      await expect(policy.logprobs(tokens, offsets, { temperature })).rejects.toMatchObject({
        option: 'logprobs.temperature',
      })
    }
    const { logprobs } = await policy.logprobs(tokens, offsets, { temperature: 1e-6 })
    expect(logprobs.every(Number.isFinite)).toBe(true)
  })
})

describe('what is odd inside', () => {
  const task = { id: 'q', messages: [{ role: 'user', content: '?' }], answer: 'a' } as const
  const gone = new Float32Array(2)
  structuredClone(gone.buffer, { transfer: [gone.buffer] })
  const trained = {
    tokens: [1, 2],
    mask: [0, 1],
    logprobs: [0, -1],
    accuracyAdvantage: 1,
    efficiencyAdvantage: 0,
  }
  const rewarded = { accuracyReward: 1, answerReward: 1, toolCalls: [] }
  const pack = (changes: object) => entry.packPolicyBatch([{ ...trained, ...changes }] as never)
  const hdpo = { name: 'hdpo' } as const
  const reward = { answer: entry.exactMatch() }
  const play = async () => []
  const assign = (changes: object) => entry.assignAdvantages([[{ ...rewarded, ...changes }]] as never, hdpo)
  const holes: unknown[] = []
  holes.length = 1

  it.each<[string, () => unknown, string]>([
    ['a hole among paths', () => entry.openTasks(holes as never), 'row 1'],
    ['tokens that are no list', () => pack({ tokens: new DataView(new ArrayBuffer(2)) }), 'rollouts[0]'],
    ['a mask of another length', () => pack({ mask: [1] }), 'rollouts[0]'],
    ['a symbol as advantage', () => pack({ accuracyAdvantage: Symbol('x') }), 'rollouts[0]'],
    ['an array that is gone as advantage', () => pack({ efficiencyAdvantage: gone }), 'rollouts[0]'],
    ['a symbol as reward', () => assign({ answerReward: Symbol('x') }), 'groups[0][0]'],
    ['no task', () => entry.evaluate({ tasks: [undefined] as never, tools: [], reward, play }), 'tasks[0]'],
    [
      'a rollout without a text as id',
      () => entry.scoreRollouts([{ id: Object.create(null), taskId: 'q' }] as never, task as never, reward),
      'rollouts[0]',
    ],
    [
      'arguments in a circle',
      () => {
        const messages = [{ role: 'assistant', content: '', toolCalls: [{ name: 'f', arguments: circular }] }]
        return policy.template.prompt(messages as never, [])
      },
      'messages[0].toolCalls[0].arguments',
    ],
    [
      'a schema in a circle',
      () => policy.template.prompt([], [{ name: 'f', description: '', parameters: circular }]),
      'tools[0].parameters',
    ],
  ])('%s', async (_, call, named) => {
    const thrown = await Promise.resolve()
      .then(call)
      .then(() => undefined)
      .catch((error: unknown) => error)
    expect(thrown).toBeInstanceOf(entry.HdpoError)
    expect((thrown as Error).message).toContain(named)
  })

  it('an array that was transferred away has no tokens', () => {
    expect(policy.tokenizer.decode(gone)).toBe('')
  })
})
