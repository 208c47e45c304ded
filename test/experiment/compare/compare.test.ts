// The queue with real processes: scripted-job.mjs counts to ten instead of training.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type CompareObserver,
  type CompareProgress,
  compare,
} from '../../../lib/experiment/compare/compare.js'
import type { Grid } from '../../../lib/experiment/compare/grid.js'

const script = join(import.meta.dirname, 'scripted-job.mjs')

const grid: Grid = {
  seeds: [0],
  settings: [{}],
  algorithms: [{ name: 'hdpo', efficiencyWeight: [0.1, 0.2, 0.3] }, { name: 'grpo' }],
  policy: '/policy',
  train: { groupSize: 4, promptsPerStep: 4, steps: 10, optimizer: { learningRate: 0.001 } },
  rollout: {},
  evaluation: { knownSamples: 8, samples: 4, every: 10, curveQuestions: 64 },
  targets: { redundantCallRate: 0.02, neededCallsKept: 0.97 },
  threads: 1,
}
const cell = (weight: number, seed = 0) => `plain/hdpo-efficiencyWeight-${weight}/seed-${seed}`

class Recorder implements CompareObserver {
  readonly states: CompareProgress[] = []
  readonly ended: string[] = []
  readonly failures: string[] = []
  onProgress: (state: CompareProgress) => void = () => undefined

  progress(state: CompareProgress): void {
    this.states.push(state)
    this.onProgress(state)
  }
  finished({ id }: { id: string }): void {
    this.ended.push(id)
  }
  failed({ id }: { id: string }, message: string): void {
    this.failures.push(`${id}: ${message}`)
  }
  warning(): void {}
}

describe('compare', () => {
  let output: string
  beforeEach(() => {
    output = mkdtempSync(join(tmpdir(), 'hdpo-compare-'))
  })
  afterEach(() => {
    delete process.env.SCRIPT
    rmSync(output, { recursive: true, force: true })
  })

  function run(overrides: Partial<Parameters<typeof compare>[0]> = {}, recorder = new Recorder()) {
    const options = {
      grid,
      output,
      processes: 2,
      resume: false,
      signal: new AbortController().signal,
      command: ({ id }: { id: string }) => ({ script, arguments: [output, id] }),
      observer: recorder,
      ...overrides,
    }
    return compare(options)
  }
  const begunAt = (id: string) => Number(readFileSync(join(output, 'cells', id, 'begun-at'), 'utf8'))
  const hasResult = (id: string) => existsSync(join(output, 'cells', id, 'result.json'))

  it('begins with the start, runs as many at a time as it may, and says how far it is', async () => {
    const recorder = new Recorder()
    const { finished, failed, left } = await run({}, recorder)
    expect(recorder.ended[0]).toBe('start/seed-0')
    expect(finished.size).toBe(5)
    expect([...failed, ...left]).toEqual([])
    expect(Math.max(...recorder.states.map(({ running }) => running.length))).toBe(2)
    expect(recorder.states.at(-1)).toMatchObject({ share: 1, cells: 4, cellsFinished: 4, secondsLeft: 0 })
    const shares = recorder.states.map(({ share }) => share)
    expect(shares).toEqual([...shares].sort((a, b) => a - b))
  })

  it('reports a cell that crashes, is killed or fails, and finishes the others', async () => {
    process.env.SCRIPT = JSON.stringify({ [cell(0.1)]: 'crash', [cell(0.2)]: 'kill', [cell(0.3)]: 'refuse' })
    const recorder = new Recorder()
    const { finished, failed } = await run({}, recorder)
    expect([...finished]).toEqual(['start/seed-0', 'plain/grpo/seed-0'])
    expect(failed.get(cell(0.1))).toMatch(/ended with status 3; see .*log\.txt/)
    expect(failed.get(cell(0.2))).toMatch(/ended by SIGKILL/)
    expect(failed.get(cell(0.3))).toBe('no can do')
    expect(recorder.failures).toHaveLength(3)
    expect(readFileSync(join(output, 'cells', cell(0.1), 'log.txt'), 'utf8')).toBe('out of luck\n')
  })

  it('goes on: finished cells are kept, broken ones take up where they were', async () => {
    process.env.SCRIPT = JSON.stringify({ [cell(0.2)]: 'kill' })
    await run()
    delete process.env.SCRIPT
    const kept = readFileSync(join(output, 'cells', cell(0.1), 'begun-at'), 'utf8')
    const recorder = new Recorder()
    const { finished } = await run({ resume: true }, recorder)
    expect(recorder.ended).toEqual([cell(0.2)])
    expect(begunAt(cell(0.2))).toBe(5)
    expect(begunAt(cell(0.1))).toBe(Number(kept))
    expect(finished.size).toBe(5)
    expect(recorder.states[0]).toMatchObject({ cellsFinished: 3 })
  })

  it('a start that fails takes its own cells along, not those of other seeds', async () => {
    process.env.SCRIPT = JSON.stringify({ 'start/seed-0': 'refuse' })
    const { finished, failed } = await run({ grid: { ...grid, seeds: [0, 1] } })
    expect([...finished].every((id) => id.endsWith('seed-1'))).toBe(true)
    expect(finished.size).toBe(5)
    expect(failed.get(cell(0.1))).toBe('start/seed-0 failed')
    expect(failed.size).toBe(5)
  })

  it('stops when it is told to: what runs saves and ends, nothing new begins', async () => {
    process.env.SCRIPT = JSON.stringify({ [cell(0.1)]: 'wait', [cell(0.2)]: 'wait' })
    const stop = new AbortController()
    const recorder = new Recorder()
    recorder.onProgress = ({ running }) => {
      if (running.length === 2 && running.every(({ share }) => share === 0.5)) stop.abort()
    }
    const { left, failed } = await run({ signal: stop.signal }, recorder)
    expect([...failed]).toEqual([])
    expect(left).toEqual([cell(0.1), cell(0.2), cell(0.3), 'plain/grpo/seed-0'])
    expect(hasResult(cell(0.1))).toBe(false)
    for (const id of [cell(0.3), 'plain/grpo/seed-0'])
      expect(existsSync(join(output, 'cells', id, 'begun-at')), id).toBe(false)
    delete process.env.SCRIPT
    await run({ resume: true })
    expect(begunAt(cell(0.1))).toBe(5)
    expect(hasResult(cell(0.1))).toBe(true)
  })

  it('refuses a folder that holds a comparison, and another grid in it', async () => {
    await run()
    await expect(run()).rejects.toMatchObject({ code: 'ERR_RUN_EXISTS' })
    const longer = { ...grid, train: { ...grid.train, steps: 20 } }
    await expect(run({ grid: longer, resume: true })).rejects.toThrow(/^train: differs from the comparison/)
    const recorder = new Recorder()
    await run({ grid: { ...grid, seeds: [0, 1] }, resume: true }, recorder)
    expect(recorder.ended).toHaveLength(5)
    expect(recorder.ended.every((id) => id.endsWith('seed-1'))).toBe(true)
  })
})
