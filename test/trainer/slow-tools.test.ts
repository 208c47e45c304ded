// 256 concurrent rollouts with slow tools on a real engine: what the metrics say about it, and what memory it leaves behind.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAtlas } from '../../lib/families/atlas/atlas.js'
import { Policy } from '../../lib/policy/policy.js'
import type { Tokenizer } from '../../lib/policy/types.js'
import { EngineClock } from '../../lib/trainer/engine-clock.js'
import type { StepMetrics } from '../../lib/trainer/metrics.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import { lookup, tasks } from './scripted-environment.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const minutes = 600_000

let folder: string
let policy: Policy

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-slow-tools-'))
  const { tokenizer, template, model } = createAtlas()
  const small = { hiddenSize: 16, layers: 1, heads: 1, kvHeads: 1, headDim: 16, intermediateSize: 32 }
  policy = await Policy.create({ tokenizer, template, config: { ...model, ...small }, seed: 3, threads: 1 })
})
afterAll(async () => {
  await policy?.close()
  await rm(folder, { recursive: true, force: true })
})

/** The policy, with every turn read as a call of `lookup`, because random weights seldom write one. */
function alwaysCalling(real: Policy): Policy {
  const tokenizer: Tokenizer = Object.create(real.tokenizer, {
    decode: { value: () => '<tool_call>{"name": "lookup", "arguments": {}}</tool_call>' },
    encode: { value: real.tokenizer.encode.bind(real.tokenizer) },
  })
  return new Proxy(real, {
    get(target, key) {
      if (key === 'tokenizer') return tokenizer
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A barrier that lets callers go on once `size` of them have arrived. */
function barrier(size: number): () => Promise<void> {
  const waiting: (() => void)[] = []
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (waiting.length === size) for (const goOn of waiting.splice(0)) goOn()
    })
}

interface Calls {
  milliseconds: number
  /** The number of calls that have to be under way before the first of them returns. */
  together: number
}

async function train(output: string, { milliseconds, together }: Calls, steps: number, onStep = () => {}) {
  const meet = barrier(together)
  const trainer = new Trainer({
    policy: alwaysCalling(policy),
    tasks: tasks(16),
    tools: [
      {
        ...lookup,
        async run() {
          await meet()
          await sleep(milliseconds)
          return '42'
        },
      },
    ],
    reward: { answer: () => 0 },
    algorithm: { name: 'hdpo' },
    groupSize: 16,
    promptsPerStep: 16,
    steps,
    rollout: { maxTurns: 2, maxTurnTokens: 4, toolConcurrency: 256, toolTimeout: minutes },
    optimizer: { learningRate: 1e-6 },
    output: join(folder, output),
    checkpointEvery: 1000,
  })
  const metrics: StepMetrics[] = []
  for await (const step of trainer.run()) {
    metrics.push(step.metrics)
    onStep()
  }
  return metrics
}

describe('256 rollouts with slow tools', () => {
  it(
    'wait side by side, and the metrics say how long the engine had nothing to do',
    async () => {
      const before = await policy.generationStats()
      // If they were not all under way at once, the first ones would wait for ever.
      const [step] = (await train('slow', { milliseconds: 1000, together: 256 }, 1)) as [StepMetrics]
      const busy = (await policy.generationStats()).seconds - before.seconds
      expect(step.rollouts).toBe(256)
      expect(step.calls.ok).toBe(512)
      // In two turns there is nothing to sample while the calls are under way.
      expect(step.engineIdleShare * step.seconds.rollout).toBeGreaterThan(1.9)
      expect(step.engineIdleShare).toBeLessThan(1)
      expect(step.engineIdleShare).toBeCloseTo(1 - busy / step.seconds.rollout, 6)
    },
    minutes,
  )

  it(
    'leave no memory behind',
    async () => {
      const heap: number[] = []
      await train('memory', { milliseconds: 20, together: 1 }, 6, () => {
        collectGarbage()
        heap.push(process.memoryUsage().heapUsed)
      })
      expect((await policy.generationStats()).live).toBe(0)
      // Measured from the second step on, as the first one fills caches. A step holds 256 rollouts of about 10 KB.
      expect((heap.at(-1) as number) - (heap[1] as number)).toBeLessThan(4 * 2 ** 20)
    },
    minutes,
  )
})

describe('EngineClock', () => {
  const working = (...seconds: number[]) => ({
    generationStats: async () => ({ seconds: seconds.shift() }) as never,
  })

  it('is the share of the wall clock in which the engine did not work', async () => {
    expect(await (await EngineClock.start(working(10, 13))).idleShare(4)).toBe(0.25)
    expect(await (await EngineClock.start(working(10, 10))).idleShare(4)).toBe(1)
  })

  it('stays from 0 to 1', async () => {
    expect(await (await EngineClock.start(working(10, 14.001))).idleShare(4)).toBe(0)
    expect(await (await EngineClock.start(working(10, 10))).idleShare(0)).toBe(0)
  })
})
