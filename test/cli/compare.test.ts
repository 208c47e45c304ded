// hdpo compare as a user runs it: processes that train a real, tiny policy, killed in the middle.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

const grid = `
environment: atlas
settings: [{}, { answerNoise: 0.2 }]
seeds: [4]
coldStart: { steps: 3, tokensPerStep: 512, optimizer: { learningRate: 0.001 } }
algorithms:
  - { name: hdpo, efficiencyWeight: [0.15] }
train: { groupSize: 2, promptsPerStep: 2, steps: 3, optimizer: { learningRate: 0.0004 } }
rollout: { maxTokens: 24 }
evaluation: { knownSamples: 1, samples: 1, tasks: 6, every: 2, curveQuestions: 2 }
processes: 2
nice: 0
`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-compare-command-'))
  writeFileSync(join(folder, 'grid.yaml'), grid)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Command {
  child: ChildProcess
  printed: () => string
  ended: Promise<number | null>
}

function hdpo(...args: string[]): Command {
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'lib/cli/main.ts'), ...args], {
    cwd: root,
  })
  let printed = ''
  child.stdout.on('data', (data) => (printed += data))
  child.stderr.on('data', (data) => (printed += data))
  // 'exit' may come before the last of what was printed.
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  return { child, printed: () => printed, ended }
}

const compare = (...more: string[]) =>
  hdpo('compare', join(folder, 'grid.yaml'), '--output', join(folder, 'out'), ...more)
const startResult = () => join(folder, 'out', 'start', 'seed-4', 'result.json')

it('keeps what was finished when it was killed, finishes the rest, reports', async () => {
  const first = compare()
  while (!existsSync(startResult())) {
    if (first.child.exitCode !== null) throw new Error(`it ended before its start: ${first.printed()}`)
    await sleep(20)
  }
  first.child.kill('SIGKILL')
  await first.ended
  const kept = readFileSync(startResult(), 'utf8')

  const refused = compare()
  expect(await refused.ended).toBe(1)
  expect(refused.printed()).toContain('already holds a comparison; resume it (--resume)')

  const second = compare('--resume')
  expect(await second.ended, second.printed()).toBe(0)
  expect(readFileSync(startResult(), 'utf8')).toBe(kept)
  expect(second.printed()).toContain('2 cells finished, 0 missing')
  expect(second.printed()).not.toContain('finished: start/seed-4')

  const results = JSON.parse(readFileSync(join(folder, 'out', 'results.json'), 'utf8'))
  expect(results.starts).toHaveLength(1)
  expect(results.cells.map(({ cell }: { cell: { id: string } }) => cell.id)).toEqual([
    'plain/hdpo-efficiencyWeight-0.15/seed-4',
    'answerNoise-0.2/hdpo-efficiencyWeight-0.15/seed-4',
  ])
  for (const { training, curve, after } of results.cells) {
    expect(training).toHaveLength(3)
    expect(curve.map(({ step }: { step: number }) => step)).toEqual([0, 2, 3])
    expect(after.accuracy).toBeGreaterThanOrEqual(0)
  }
  // The prompts are the same, the grading differs: the first step's rollouts are equal, what is learnt from them is not.
  expect(results.cells[0].training[0].callsPerRollout).toBe(results.cells[1].training[0].callsPerRollout)
  for (const name of ['report.html', 'results.csv', 'ranges.svg', 'pareto-plain.svg']) {
    expect(existsSync(join(folder, 'out', name)), name).toBe(true)
  }
  expect(
    existsSync(join(folder, 'out', 'cells', 'plain/hdpo-efficiencyWeight-0.15/seed-4', 'checkpoints')),
  ).toBe(false)
}, 600_000)
