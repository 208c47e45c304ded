// The real thing: `hdpo train` in a process of its own, ended by kill -9 in the middle, resumed, compared
// with an unbroken run.
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
import type { StepMetrics } from '../../lib/trainer/metrics.js'
import { readMetrics } from '../../lib/trainer/run-folder.js'

const root = join(import.meta.dirname, '..', '..')
// A bare 'tsx' would be looked for in the run's folder.
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const addon = join(root, 'build', 'Release', 'hdpo.node')
const built = existsSync(addon)
// In CI the addon has to be there: then this runs, and fails without it.
const skip = !built && process.env.CI === undefined
if (skip) console.warn(`skipped: ${addon} has not been built (npm run build)`)

const minutes = 60_000
const steps = 8

describe.skipIf(skip)('kill -9 and --resume', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hdpo-kill-'))
    await writeFile(join(folder, 'sft.yaml'), sftConfig)
    await hdpo('sft', 'sft.yaml')
    await writeFile(join(folder, 'train.yaml'), trainConfig)
  }, 3 * minutes)
  afterAll(() => rm(folder, { recursive: true, force: true }))

  function start(...args: string[]): ChildProcess {
    const main = join(root, 'lib', 'cli', 'main.ts')
    return spawn(process.execPath, ['--import', tsx, main, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** Runs to the end; resolves with what was printed. */
  async function hdpo(...args: string[]): Promise<string> {
    const child = start(...args)
    let printed = ''
    child.stdout?.on('data', (chunk) => {
      printed += chunk
    })
    child.stderr?.on('data', (chunk) => {
      printed += chunk
    })
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`hdpo ${args.join(' ')} exited with ${code}:\n${printed}`)
    return printed
  }

  async function stepsRecorded(run: string): Promise<number> {
    return (await readMetrics(join(folder, run))).length
  }

  async function waitForStep(run: string, step: number, child: ChildProcess): Promise<void> {
    while ((await stepsRecorded(run)) < step) {
      if (child.exitCode !== null) throw new Error(`the run ended before step ${step}`)
      await sleep(20)
    }
  }

  it('gives the numbers of an unbroken run', { timeout: 4 * minutes }, async () => {
    await hdpo('train', 'train.yaml', '--output', 'whole')
    // Killed twice: between two checkpoints, and again after having been resumed.
    for (const [step, flags] of [
      [3, []],
      [6, ['--resume']],
    ] as const) {
      const child = start('train', 'train.yaml', '--output', 'cut', ...flags)
      await waitForStep('cut', step, child)
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    await hdpo('train', 'train.yaml', '--output', 'cut', '--resume')

    expect(await numbersOf('cut')).toEqual(await numbersOf('whole'))
    const weights = (run: string) => readFile(join(folder, run, 'policy', 'model.safetensors'))
    expect((await weights('cut')).equals(await weights('whole'))).toBe(true)
    const rollouts = (run: string) => readFile(join(folder, run, 'rollouts', 'step-000008.jsonl'), 'utf8')
    expect(withoutClock(await rollouts('cut'))).toEqual(withoutClock(await rollouts('whole')))
  })

  it('Ctrl-C finishes the step, saves and exits with 0', { timeout: 2 * minutes }, async () => {
    const child = start('train', 'train.yaml', '--output', 'interrupted')
    await waitForStep('interrupted', 1, child)
    child.kill('SIGINT')
    const [code] = await once(child, 'close')
    expect(code).toBe(0)
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
