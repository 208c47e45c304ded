import { afterEach, describe, expect, it, vi } from 'vitest'
import { costOfCall, toolCost, toolSeconds } from '../../lib/rollout/call-cost.js'
import { rolloutLine } from '../../lib/rollout/rollout-line.js'
import { runToolCall } from '../../lib/rollout/run-tool-call.js'
import type { ToolCallRecord } from '../../lib/rollout/types.js'
import { defineTool } from '../../lib/tools/define-tool.js'
import type { Tool } from '../../lib/tools/types.js'
import { refuses } from '../core/wrong-options.js'

afterEach(() => vi.unstubAllEnvs())

const tool = (name: string, cost?: Tool['cost'], run: () => unknown = () => 'found') =>
  defineTool({
    name,
    description: 'a tool',
    input: { type: 'object' },
    run,
    ...(cost !== undefined && { cost }),
  }) as Tool
const record = (name: string, change: Partial<ToolCallRecord> = {}): ToolCallRecord => ({
  name,
  arguments: {},
  outcome: 'ok',
  observation: '',
  milliseconds: 200,
  ...change,
})

describe('costOfCall', () => {
  const tools = [
    tool('plain'),
    tool('priced', 0.002),
    tool('timed', ({ milliseconds }) => milliseconds / 1000),
  ]

  it('is the cost of the tool, 1 without one', () => {
    expect(tools.map(({ name }) => costOfCall(record(name), tools))).toEqual([1, 0.002, 0.2])
  })

  it('of a call that reached no tool is that of the dearest fixed one', () => {
    const malformed = record('priced', { outcome: 'malformed' })
    expect(costOfCall(malformed, tools)).toBe(1)
    expect(costOfCall(record('absent', { outcome: 'unknown-tool' }), tools.slice(1))).toBe(0.002)
    expect(costOfCall(malformed, tools.slice(2))).toBe(1)
    expect(costOfCall(malformed, [])).toBe(1)
  })

  describe('refuses a function that returns', () => {
    refuses(
      (cost: number) => costOfCall(record('broken'), [tool('broken', () => cost)]),
      [
        [Number.NaN, 'tool "broken".cost: must be a number of at least 0, got NaN'],
        [-1, 'tool "broken".cost: must be a number of at least 0, got -1'],
        [Number.POSITIVE_INFINITY, 'tool "broken".cost: must be a number of at least 0, got Infinity'],
        ['free', `tool "broken".cost: must be a number of at least 0, got 'free'`],
      ],
    )
  })
})

it('sums over a rollout, calls without a cost being 1', () => {
  expect(toolCost({ toolCalls: [{ cost: 0.5 }, {}, { cost: 0 }] })).toBe(1.5)
  expect(toolCost({ toolCalls: [] })).toBe(0)
  expect(toolSeconds({ toolCalls: [{ milliseconds: 300 }, { milliseconds: 200 }] })).toBe(0.5)
})

describe('runToolCall', () => {
  const run = (tools: Tool[], maxObservationCharacters = 1000) =>
    runToolCall(
      { kind: 'call', name: 'leaky', arguments: {} },
      {
        tools,
        toolTimeout: 1000,
        toolConcurrency: 1,
        maxObservationCharacters,
        rolloutId: 'r',
        rolloutEnded: new AbortController().signal,
        signal: new AbortController().signal,
      },
    )

  it.each<[string, () => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('no price list')
      },
      'no price list',
    ],
    [
      'throws no error',
      () => {
        throw null
      },
      'null',
    ],
    ['rejects', () => Promise.reject(new Error('late')), 'must be a number of at least 0'],
    ['returns no number', () => 'free', 'must be a number of at least 0'],
    ['returns NaN', () => Number.NaN, 'must be a number of at least 0, got NaN'],
  ])('reports an error where the cost %s, and takes the dearest cost', async (_, cost, said) => {
    const record = await run([tool('leaky', cost as Tool['cost']), tool('dear', 7)])
    expect(record).toMatchObject({ outcome: 'error', cost: 7 })
    expect(record.observation).toContain('leaky failed: its cost is unknown: ')
    expect(record.observation).toContain(said)
  })

  it('records the cost', async () => {
    expect(await run([tool('leaky', 3)])).toMatchObject({ outcome: 'ok', cost: 3 })
  })

  it('shows the policy no secret that a tool returns or throws, not even a part of one', async () => {
    vi.stubEnv('LEAKY_API_KEY', 'swordfish-1234567')
    const returned = await run([tool('leaky', 1, () => ({ url: 'https://x?key=swordfish-1234567' }))])
    expect(returned.observation).toBe('{"url":"https://x?key=[redacted]"}')
    const failing = () => {
      throw new Error('401 for swordfish-1234567')
    }
    expect((await run([tool('leaky', 1, failing)])).observation).toBe('leaky failed: 401 for [redacted]')
    expect((await run([tool('leaky', 1, () => 'swordfish-1234567')], 8)).observation).not.toContain(
      'swordfis',
    )
  })

  it('redacts a value before it is written as JSON, whatever a tool returns or throws', async () => {
    const password = 'a "quoted\\ <pass>/word'
    vi.stubEnv('PGPASSWORD', password)
    const basic = Buffer.from(`user:${password}`).toString('base64')
    const value = { [password]: [password], header: `Basic ${basic}`, at: new Date(0), n: 1.5 }
    const clean = '{"[redacted]":["[redacted]"],"header":"Basic'
    const returned = await run([tool('leaky', 1, () => value)])
    expect(returned.observation).toContain(clean)
    expect(returned.observation).toContain('"at":"1970-01-01T00:00:00.000Z","n":1.5}')
    const thrown = await run([
      tool('leaky', 1, () => {
        throw value
      }),
    ])
    expect(thrown.observation).toContain(`leaky failed: ${clean}`)
    const asText = await run([tool('leaky', 1, () => JSON.stringify({ text: JSON.stringify(value) }))])
    for (const { observation } of [returned, thrown, asText]) {
      expect(observation).not.toMatch(/quoted|<pass>/)
      expect(observation).not.toContain(basic.slice(8, 30))
    }
    expect(
      rolloutLine({ tokens: Int32Array.of(1), messages: [{ content: JSON.stringify(value) }] }),
    ).not.toMatch(/quoted|tokens/)
  })
})
