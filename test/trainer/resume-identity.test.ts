// What a resumed run may not change, and what may be written differently.
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { version } from '../../lib/core/version.js'
import { exactMatch, type RewardOptions } from '../../lib/rewards/rewards.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import type { TrainerOptions } from '../../lib/trainer/trainer-options.js'
import { lookup, tasks } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-identity-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const answer = exactMatch()

function trainer(options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    policy: new ScriptedPolicy(),
    tasks: tasks(6),
    tools: [lookup],
    reward: { answer },
    algorithm: { name: 'hdpo' },
    groupSize: 2,
    promptsPerStep: 2,
    steps: 3,
    optimizer: { learningRate: 0.001 },
    output: join(folder, 'run'),
    checkpointEvery: 1,
    ...options,
  })
}

async function steps(run: AsyncIterable<unknown>, limit = Number.POSITIVE_INFINITY): Promise<number> {
  let taken = 0
  for await (const _ of run) if (++taken >= limit) break
  return taken
}

const resume = (options: Partial<TrainerOptions>) => steps(trainer(options).run({ resume: true }))

class Adapted extends ScriptedPolicy {
  constructor(private readonly made: Record<string, unknown>) {
    super()
  }
  async identity(): Promise<Record<string, unknown>> {
    return this.made
  }
}

describe('two trainers on one folder', () => {
  it('are one too many, until the first one ends, by itself or not', async () => {
    const first = trainer().run()
    await first.next()
    const files = () => readdirSync(join(folder, 'run'), { recursive: true }).sort()
    const before = files()
    for (const given of [{ resume: true }, {}]) {
      await expect(steps(trainer().run(given))).rejects.toMatchObject({
        code: 'ERR_RUN_IN_USE',
        message: expect.stringContaining(`is in use by this process (${process.pid})`),
      })
    }
    expect(files()).toEqual(before)
    await first.return()
    expect(existsSync(join(folder, 'run', 'run.lock'))).toBe(false)
    const failing = trainer({ onWarning: () => {}, reward: { answer: () => Number.NaN } as RewardOptions })
    await expect(steps(failing.run({ resume: true }))).rejects.toMatchObject({ code: 'ERR_RESUME' })
    expect(await resume({})).toBe(2)
    expect(existsSync(join(folder, 'run', 'run.lock'))).toBe(false)
  })
})

describe('a resumed run', () => {
  it('takes defaults that are written out, in any order', async () => {
    await steps(trainer().run(), 1)
    const written = {
      algorithm: { epsilon: 1e-6, efficiencyWeight: 0.15, accuracyWeight: 1, name: 'hdpo', scaleByStd: true },
      optimizer: { schedule: 'constant', beta2: 0.95, beta1: 0.9, learningRate: 0.001 },
      loss: { clipHigh: 0.2, clipLow: 0.2 },
      rollout: { maxTurns: 10, temperature: 1 },
      klCoefficient: 0,
      reward: { formatWeight: 0.1, answerWeight: 0.9, answer },
    } as const
    expect(await resume(written)).toBe(2)
  })

  it.each<[string, Partial<TrainerOptions>]>([
    ['algorithm.efficiencyWeight', { algorithm: { name: 'hdpo', efficiencyWeight: 0.2 } }],
    ['optimizer.beta1', { optimizer: { learningRate: 0.001, beta1: 0.8 } }],
    ['loss.clipLow', { loss: { clipLow: 0.1 } }],
    ['rollout.maxTurns', { rollout: { maxTurns: 3 } }],
    ['reward.answerWeight', { reward: { answer, answerWeight: 0.5 } }],
    ['reward.answer', { reward: { answer: () => true } as RewardOptions }],
    ['tools', { tools: [{ ...lookup, description: 'Looks elsewhere.' }] }],
    ['tools', { tools: [{ ...lookup, run: () => 'nothing' }] }],
    ['tools', { tools: [{ ...lookup, identity: { documents: 'others' } }] }],
    ['tools', { tools: [{ ...lookup, cost: 2 }] }],
    ['tools', { tools: [lookup, { ...lookup, name: 'other' }] }],
    ['seed', { seed: 1 }],
    ['tasks', { tasks: tasks(5) }],
    ['tasks', { tasks: tasks(6).reverse() }],
    ['tasks', { tasks: tasks(6).map((task, index) => (index === 5 ? { ...task, answer: 'other' } : task)) }],
    ['runGroup', { runGroup: Object.assign(async () => [], { identity: { agent: 'other' } }) }],
    ['policy', { policy: new Adapted({ lora: { rank: 8 } }) }],
  ])('refuses another %s', async (name, options) => {
    await steps(trainer().run(), 1)
    await expect(resume(options)).rejects.toMatchObject({
      code: 'ERR_RESUME',
      message: expect.stringMatching(new RegExp(`^${name.replace('.', '\\.')}`)),
    })
  })

  it('refuses another base or adapter of the policy by name', async () => {
    const made = { lora: { rank: 4, alpha: 8 }, base: 'cafe' }
    await steps(trainer({ policy: new Adapted(made) }).run(), 1)
    await expect(resume({ policy: new Adapted({ ...made, base: 'f00d' }) })).rejects.toThrow(
      'policy.base was "cafe"',
    )
    await expect(resume({ policy: new Adapted({ ...made, lora: { rank: 8, alpha: 8 } }) })).rejects.toThrow(
      'policy.lora.rank was 4',
    )
    expect(await resume({ policy: new Adapted({ base: 'cafe', lora: { alpha: 8, rank: 4 } }) })).toBe(2)
  })

  it('goes on with evaluations or without, and while it has some with the same', async () => {
    const evaluate = { tasks: tasks(2), every: 1 }
    await steps(trainer().run(), 1)
    await steps(trainer({ evaluate }).run({ resume: true }), 1)
    await expect(resume({ evaluate: { ...evaluate, tasks: tasks(3) } })).rejects.toThrow(
      /^evaluate\.tasks was/,
    )
    await expect(resume({ evaluate: { ...evaluate, samples: 2 } })).rejects.toThrow(
      /^evaluate\.samples was 1/,
    )
    expect(await resume({ evaluate: { ...evaluate, every: 2 } })).toBe(1)
  })

  it('that is refused has changed nothing', async () => {
    await steps(trainer({ checkpointEvery: 2 }).run(), 3)
    const path = join(folder, 'run', 'checkpoints')
    rmSync(join(path, 'step-3'), { recursive: true })
    const recorded = () => readFileSync(join(folder, 'run', 'metrics.jsonl'), 'utf8')
    const before = recorded()
    await expect(resume({ checkpointEvery: 2, seed: 1 })).rejects.toMatchObject({ code: 'ERR_RESUME' })
    expect(recorded()).toBe(before)
    expect(existsSync(join(folder, 'run', 'rollouts', 'step-000003.jsonl'))).toBe(true)
  })

  it('that has taken all its steps is left as it is', async () => {
    await steps(trainer().run())
    const files = () =>
      readdirSync(join(folder, 'run'), { recursive: true, encoding: 'utf8' })
        .map((name) => join(folder, 'run', name))
        .map((path) => ({ path, changed: statSync(path).mtimeMs, inode: statSync(path).ino }))
        .filter(({ path }) => statSync(path).isFile())
    const before = files()
    const told: string[] = []
    const logger = {
      name: 'told',
      start: () => void told.push('start'),
      log: () => undefined,
      end: () => void told.push('end'),
    }
    expect(await resume({ loggers: [logger] })).toBe(0)
    expect(await resume({ steps: 2 })).toBe(0)
    expect(files()).toEqual(before)
    expect(told).toEqual([])
    await expect(resume({ seed: 1 })).rejects.toMatchObject({ code: 'ERR_RESUME' })
    expect(await resume({ steps: 5 })).toBe(2)
  })

  it.each<[string, (path: string) => void, string]>([
    [
      'with a flipped bit',
      (path) => writeFileSync(path, flipped(readFileSync(path))),
      'does not match its SHA-256',
    ],
    ['of another model', (path) => writeFileSync(path, 'another'), 'has 7 bytes instead of'],
    ['that is gone', (path) => rmSync(path), 'is missing'],
  ])('refuses reference weights %s', async (_, change, said) => {
    await steps(trainer({ klCoefficient: 0.1 }).run(), 1)
    change(join(folder, 'run', 'reference.safetensors'))
    await expect(resume({ klCoefficient: 0.1 })).rejects.toMatchObject({
      code: 'ERR_CHECKPOINT',
      message: expect.stringMatching(`reference\\.safetensors ${said}`),
    })
  })

  it('says which version wrote what a changed default no longer is', async () => {
    await steps(trainer().run(), 1)
    const path = join(folder, 'run', 'checkpoints', 'step-1', 'state.json')
    const state = JSON.parse(readFileSync(path, 'utf8')) as { version: string; identity: { loss: object } }
    expect(state.version).toBe(version)
    expect(state.identity.loss).toMatchObject({ clipLow: 0.2, aggregation: 'token-mean' })
    const older = { ...state, version: '0.0.1', identity: { ...state.identity, passes: 2 } }
    const text = JSON.stringify(older)
    writeFileSync(path, text)
    rewriteManifest(path, text)
    await expect(resume({})).rejects.toThrow(
      new RegExp(`passes was 2 .* is 1 now.*written by hdpo 0\\.0\\.1, this is ${version}`),
    )
  })
})

function flipped(bytes: Buffer): Buffer {
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
  return bytes
}

/** Updates the manifest: a checkpoint whose files do not match it would be passed over. */
function rewriteManifest(path: string, text: string): void {
  const manifestPath = join(path, '..', 'manifest.json')
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as {
    files: Record<string, { size: number; sha256: string }>
  }
  const sha256 = createHash('sha256').update(text).digest('hex')
  manifest.files['state.json'] = { size: Buffer.byteLength(text), sha256 }
  writeFileSync(manifestPath, JSON.stringify(manifest))
}
