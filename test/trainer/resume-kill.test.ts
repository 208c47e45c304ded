// `hdpo train` in a process of its own, ended by kill -9 in the middle, resumed, and compared with an unbroken
// run.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readMetrics } from '../../lib/run/metrics-file.js'
import type { StepMetrics } from '../../lib/trainer/metrics.js'

const root = join(import.meta.dirname, '..', '..')
// A bare 'tsx' would be resolved from the run's folder.
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const addon = join(root, 'build', 'Release', 'hdpo.node')
const built = existsSync(addon)
// In CI the addon has to be there: this test then runs, and fails without it.
const skip = !built && process.env.CI === undefined
if (skip) console.warn(`skipped: ${addon} has not been built (npm run build)`)

const minutes = 60_000

interface Command {
  child: ChildProcess
  /** The exit code; null after a signal. */
  ended: Promise<number | null>
  printed: () => string
}

// Far more steps than can pass between a step that is waited for and the kill that follows.
const steps = 12

describe.skipIf(skip)('kill -9 and --resume', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hdpo-kill-'))
    await writeFile(join(folder, 'sft.yaml'), sftConfig)
    await hdpo('sft', 'sft.yaml')
    await writeFile(join(folder, 'train.yaml'), trainConfig)
  }, 10 * minutes)
  afterAll(() => rm(folder, { recursive: true, force: true }))

  function start(...args: string[]): Command {
    const main = join(root, 'lib', 'cli', 'main.ts')
    const child = spawn(process.execPath, ['--import', tsx, main, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let printed = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        printed += chunk
      })
    }
    // The listener is added at the start, because the process may end before anything waits for it.
    const ended = once(child, 'close').then(([code]) => code as number | null)
    return { child, ended, printed: () => printed }
  }

  async function hdpo(...args: string[]): Promise<void> {
    const { ended, printed } = start(...args)
    const code = await ended
    if (code !== 0) throw new Error(`hdpo ${args.join(' ')} exited with ${code}:\n${printed()}`)
  }

  async function stepsRecorded(run: string): Promise<number> {
    return (await readMetrics(join(folder, run))).length
  }

  async function waitForStep(run: string, step: number, { child, printed }: Command): Promise<void> {
    while ((await stepsRecorded(run)) < step) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the run ended before step ${step}:\n${printed()}`)
      await sleep(20)
    }
  }

  it('gives the numbers of an unbroken run', { timeout: 15 * minutes }, async () => {
    await hdpo('train', 'train.yaml', '--output', 'whole')
    // Killed twice: between two checkpoints, and again after having been resumed.
    for (const [step, flags] of [
      [3, []],
      [6, ['--resume']],
    ] as const) {
      const command = start('train', 'train.yaml', '--output', 'cut', ...flags)
      await waitForStep('cut', step, command)
      command.child.kill('SIGKILL')
      await command.ended
    }
    await hdpo('train', 'train.yaml', '--output', 'cut', '--resume')

    expect(await numbersOf('cut')).toEqual(await numbersOf('whole'))
    const weights = (run: string) => readFile(join(folder, run, 'policy', 'model.safetensors'))
    expect((await weights('cut')).equals(await weights('whole'))).toBe(true)
    const rollouts = (run: string) => readFile(join(folder, run, 'rollouts', 'step-000012.jsonl'), 'utf8')
    expect(withoutClock(await rollouts('cut'))).toEqual(withoutClock(await rollouts('whole')))

    const kept = () => readFile(join(folder, 'cut', 'policy', 'README.md'), 'utf8')
    const card = await kept()
    expect(card).toContain(`${steps} steps of hdpo`)
    const again = start('train', 'train.yaml', '--output', 'cut', '--resume')
    expect(await again.ended, again.printed()).toBe(0)
    expect(again.printed()).toContain(`finished already: step ${steps} of ${steps} was taken`)
    expect(await kept()).toBe(card)
    // Killed between the last step and the saved policy: the card says what all processes did.
    await rm(join(folder, 'cut', 'finished.json'))
    await rm(join(folder, 'cut', 'policy'), { recursive: true })
    await hdpo('train', 'train.yaml', '--output', 'cut', '--resume')
    expect(await kept()).toBe(card)
  })

  it('a run that goes on is neither resumed nor measured by a second process', {
    timeout: 10 * minutes,
  }, async () => {
    await writeFile(join(folder, 'endless.yaml'), trainConfig.replace(`steps: ${steps}`, 'steps: 100000'))
    const first = start('train', 'endless.yaml', '--output', 'held')
    await waitForStep('held', 1, first)
    const before = await readFile(join(folder, 'held', 'metrics.jsonl'), 'utf8')
    for (const flags of [['--resume'], []]) {
      const second = start('train', 'endless.yaml', '--output', 'held', ...flags)
      expect(await second.ended, second.printed()).toBe(1)
      expect(second.printed()).toMatch(`held is in use by process ${first.child.pid} on `)
    }
    const sft = start('sft', 'sft.yaml', '--output', 'held', '--resume')
    expect(await sft.ended, sft.printed()).toBe(1)
    expect(sft.printed()).toContain(`is in use by process ${first.child.pid}`)
    expect((await readFile(join(folder, 'held', 'metrics.jsonl'), 'utf8')).startsWith(before)).toBe(true)
    first.child.kill('SIGINT')
    expect(await first.ended, first.printed()).toBe(0)
    expect(existsSync(join(folder, 'held', 'run.lock'))).toBe(false)
  })

  it('Ctrl-C finishes the step, saves and exits with 0', { timeout: 10 * minutes }, async () => {
    await writeFile(join(folder, 'long.yaml'), trainConfig.replace(`steps: ${steps}`, 'steps: 100000'))
    const command = start('train', 'long.yaml', '--output', 'interrupted')
    await waitForStep('interrupted', 1, command)
    command.child.kill('SIGINT')
    expect(await command.ended, command.printed()).toBe(0)
    const recorded = await stepsRecorded('interrupted')
    expect(await readdir(join(folder, 'interrupted', 'checkpoints'))).toContain(`step-${recorded}`)
  })

  async function numbersOf(run: string): Promise<Partial<StepMetrics>[]> {
    const metrics = await readMetrics<StepMetrics>(join(folder, run))
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, index) => index + 1))
    return metrics.map(({ seconds: _, tokensPerSecond: __, engineIdleShare: ___, ...numbers }) => numbers)
  }
})

function withoutClock(jsonl: string): unknown[] {
  return jsonl
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line, (key, value) => (key === 'milliseconds' ? undefined : value)))
}

const optimizer = 'optimizer: { learningRate: 1.0e-3 }'
const sftConfig = `
environment: atlas
model: { hiddenSize: 32, layers: 2, heads: 2, kvHeads: 1, intermediateSize: 64, maxPositions: 512 }
output: sft
steps: 20
tokensPerStep: 2048
threads: 1
${optimizer}
`
const trainConfig = `
environment: atlas
policy: sft/policy
output: unused
algorithm: { name: hdpo }
groupSize: 4
promptsPerStep: 4
steps: ${steps}
rollout: { maxTokens: 96, maxTurns: 3 }
checkpointEvery: 2
klCoefficient: 0.01
threads: 1
${optimizer}
`
