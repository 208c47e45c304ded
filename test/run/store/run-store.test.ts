import { appendFile, cp, mkdir, mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Database } from '../../../lib/run/store/database.js'
import { rolloutId } from '../../../lib/run/store/rollout-record.js'
import { RunStore, searchExpression } from '../../../lib/run/store/run-store.js'
import { recordedRollout, writeRun, writeStep } from './recorded-run.js'

let folder: string
let store: RunStore | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-store-'))
})
afterEach(async () => {
  store?.close()
  store = undefined
  await rm(folder, { recursive: true, force: true })
})

function open(): RunStore {
  store?.close()
  store = RunStore.open(folder)
  store.updateAll()
  return store
}

describe('RunStore', () => {
  it('indexes a run that has no index: metrics by path, rollouts, tokens', async () => {
    await writeRun(folder, 3)
    const run = open()
    expect(run.lastStep()).toBe(3)
    expect(run.rolloutCount()).toBe(12)
    expect(run.series(['accuracy', 'seconds/train'])).toEqual({
      accuracy: { steps: [1, 2, 3], values: [0.1, 0.2, 0.3] },
      'seconds/train': { steps: [1, 2, 3], values: [1.5, 1.5, 1.5] },
    })
    expect(run.series(['accuracy'], 2)).toEqual({ accuracy: { steps: [3], values: [0.3] } })
    expect(Object.fromEntries(run.newestMetrics())).toMatchObject({ accuracy: 0.3, skipped: 0 })
    const stored = run.rollout(rolloutId(2, 1))
    expect(stored?.row).toMatchObject({
      step: 2,
      prompt: 0,
      rollout: 1,
      correct: 0,
      calls: 1,
      sampled_tokens: 2,
    })
    expect(stored?.row.mean_logprob).toBeCloseTo(-0.75, 6)
    expect(stored?.sequences).toEqual([
      {
        tokens: Int32Array.from([5, 6, 7, 300]),
        mask: Uint8Array.from([0, 0, 1, 1]),
        logprobs: Float32Array.from([0, 0, -0.5, -1]),
      },
    ])
    expect(stored?.messages.at(-1)?.content).toBe('<answer>no</answer>')
    expect(run.group(2, 1).map(({ rollout }) => rollout)).toEqual([0, 1])
  })

  it('takes in what a running trainer adds, and leaves a line that is still being written', async () => {
    await writeRun(folder, 1)
    const run = open()
    await appendFile(join(folder, 'metrics.jsonl'), '{"step":2,"accuracy":0.9}\n{"step":3,"accu')
    await writeStep(folder, 2)
    run.updateAll()
    expect(run.lastStep()).toBe(2)
    expect(run.rolloutCount()).toBe(8)
    await appendFile(join(folder, 'metrics.jsonl'), 'racy":1}\n')
    run.updateAll()
    expect(run.series(['accuracy']).accuracy?.values).toEqual([0.1, 0.9, 1])
  })

  it('forgets what a resumed run has forgotten, and takes what it did instead', async () => {
    await writeRun(folder, 4)
    const run = open()
    // Does what RunFolder does: a new metrics.jsonl takes the place of the old one, later steps are removed, then taken again.
    const kept = (await readFile(join(folder, 'metrics.jsonl'), 'utf8')).split('\n').slice(0, 2).join('\n')
    await writeFile(join(folder, 'new'), `${kept}\n{"step":3,"accuracy":0.77}\n`)
    await rename(join(folder, 'new'), join(folder, 'metrics.jsonl'))
    await rm(join(folder, 'rollouts', 'step-000004.jsonl'))
    await writeStep(folder, 3, [recordedRollout(0, 0, { finalAnswer: 'instead' })])
    run.updateAll()
    expect(run.series(['accuracy']).accuracy).toEqual({ steps: [1, 2, 3], values: [0.1, 0.2, 0.77] })
    expect(run.rolloutCount()).toBe(9)
    expect(run.rollouts({ step: 3 }).map(({ answer }) => answer)).toEqual(['instead'])
    expect(run.count({ search: 'instead' })).toBe(1)
    expect(run.database.row('SELECT count(*) AS n FROM sequences')).toEqual({ n: 9 })
  })

  it('is the same after it was thrown away, copied, or made by another version', async () => {
    await writeRun(folder, 2)
    const before = open().rollouts()
    store?.database.exec('PRAGMA user_version = 99')
    expect(open().rollouts()).toEqual(before)
    store?.close()
    store = undefined
    await rm(join(folder, 'run.sqlite'))
    expect(open().rollouts()).toEqual(before)
    const copy = join(folder, 'copy')
    await mkdir(copy)
    for (const name of ['metrics.jsonl', 'rollouts', 'run.sqlite']) {
      await cp(join(folder, name), join(copy, name), { recursive: true })
    }
    const copied = RunStore.open(copy)
    copied.updateAll()
    expect(copied.rollouts()).toEqual(before)
    copied.close()
  })

  it('keeps the steps before one that it cannot read, and names the line', async () => {
    await writeRun(folder, 2)
    await writeFile(join(folder, 'rollouts', 'step-000001.jsonl'), '{}\nnot json\n')
    store = RunStore.open(folder)
    expect(() => store?.updateAll()).toThrow(/step-000001\.jsonl:2 is not JSON/)
    expect(store.rolloutCount()).toBe(4)
    expect(() => RunStore.open(join(folder, 'rollouts'))).toThrow(/is not a run folder/)
  })

  it('indexes rollouts without tokens or rewards', async () => {
    const { tokens: _, answerReward: __, accuracyReward: ___, ...redacted } = recordedRollout(0, 0)
    await writeRun(folder, 1)
    await writeStep(folder, 1, [{ ...redacted, redacted: true, ungraded: 'the judge was away' }])
    const [row] = open().rollouts()
    expect(row).toMatchObject({
      correct: null,
      tokens: 0,
      mean_logprob: null,
      ungraded: 'the judge was away',
    })
    expect(store?.rollout(row?.id ?? 0)?.sequences).toEqual([])
  })

  it('filters, pages and searches', async () => {
    await writeRun(folder, 3)
    const run = open()
    expect(run.rollouts({ limit: 2 }).map(({ step }) => step)).toEqual([3, 3])
    const [, second] = run.rollouts({ limit: 2 })
    expect(run.rollouts({ after: second?.id ?? 0, limit: 100 })).toHaveLength(10)
    expect(run.count({ correct: true })).toBe(6)
    expect(run.count({ correct: false, step: 1 })).toBe(2)
    expect(run.count({ calls: 1 })).toBe(6)
    expect(run.count({ minimumCalls: 1, task: 'task-1' })).toBe(3)
    expect(run.count({ search: 'grönland' })).toBe(12)
    expect(run.count({ search: 'GRONLAND nuu' })).toBe(6)
    expect(run.count({ search: '"capital gronland"' })).toBe(6)
    expect(run.count({ search: '"gronland capital"' })).toBe(0)
    expect(run.count({ search: 'nuuk', correct: true })).toBe(6)
  })

  it('takes any text as a search, and none of it as an operator', async () => {
    await writeRun(folder, 1)
    const run = open()
    for (const search of [
      '"',
      'a"b',
      '*',
      'OR',
      'NEAR(',
      'task:',
      '- ^ :',
      "'; DROP TABLE rollouts; --",
      '(',
      '"" ""',
    ]) {
      expect(() => run.count({ search }), search).not.toThrow()
    }
    expect(searchExpression('what OR "is this" th')).toBe('"what" "OR" "is this" "th" *')
    expect(run.rolloutCount()).toBe(4)
  })

  it('is read while another connection writes', async () => {
    await writeRun(folder, 1)
    const run = open()
    const writer = new Database(join(folder, 'run.sqlite'))
    writer.exec('BEGIN IMMEDIATE; DELETE FROM rollouts')
    // A read that waited for the writer, which is this very thread, would end in an error.
    expect(run.rolloutCount()).toBe(4)
    writer.exec('ROLLBACK')
    writer.close()
  })

  it('knows a step file by more than its name', async () => {
    await writeRun(folder, 1)
    const run = open()
    const path = join(folder, 'rollouts', 'step-000001.jsonl')
    await writeStep(folder, 1, [recordedRollout(0, 0)])
    await utimes(path, new Date(), new Date())
    run.updateAll()
    expect(run.rolloutCount()).toBe(1)
  })
})
