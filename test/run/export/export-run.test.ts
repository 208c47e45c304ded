import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ExportOptions, exportRun } from '../../../lib/run/export/export-run.js'
import { refuses } from '../../core/wrong-options.js'
import { recordedRollout, writeRun, writeStep } from '../store/recorded-run.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-export-'))
  await writeRun(folder, 2)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const save = (table: ExportOptions['table'], format: ExportOptions['format']) =>
  exportRun({ run: folder, table, format })
const parquet = async (path: string) => parquetReadObjects({ file: await asyncBufferFromFile(path) })

describe('exportRun', () => {
  it('writes metrics, a row a step', async () => {
    const { path, rows } = await save('metrics', 'csv')
    expect(rows).toBe(2)
    expect(path).toBe(join(folder, 'metrics.csv'))
    const text = await readFile(path, 'utf8')
    expect(text).toBe(
      'step,accuracy,callsPerRollout,seconds/train,skipped\r\n1,0.1,0.5,1.5,0\r\n2,0.2,0.5,1.5,0\r\n',
    )
    expect(await parquet((await save('metrics', 'parquet')).path)).toEqual([
      { step: 1, accuracy: 0.1, callsPerRollout: 0.5, 'seconds/train': 1.5, skipped: 0 },
      { step: 2, accuracy: 0.2, callsPerRollout: 0.5, 'seconds/train': 1.5, skipped: 0 },
    ])
  })

  it('writes the same rollouts in every format', async () => {
    await writeStep(folder, 2, [recordedRollout(0, 0, { finalAnswer: 'a "b",\nc', formatReward: 0 })])
    const { path, rows } = await save('rollouts', 'parquet')
    expect(rows).toBe(5)
    const read = await parquet(path)
    const lines = (await readFile((await save('rollouts', 'jsonl')).path, 'utf8')).trim().split('\n')
    expect(read).toEqual(lines.map((line) => JSON.parse(line)))
    expect(read.at(-1)).toMatchObject({
      step: 2,
      correct: true,
      answer: 'a "b",\nc',
      format_reward: 0,
      ungraded: null,
    })
    expect(await readFile((await save('rollouts', 'csv')).path, 'utf8')).toContain(
      ',"a ""b"",\nc",true,true,answer,',
    )
  })

  it('writes tokens with the gradient that each channel gave them', async () => {
    const { path } = await save('tokens', 'parquet')
    const tokens = await parquet(path)
    expect(tokens).toHaveLength(2 * 4 * 4)
    expect(tokens.slice(1, 4)).toMatchObject([
      { position: 1, token: 6, sampled: false, logprob: null, accuracy_gradient: null },
      {
        position: 2,
        token: 7,
        sampled: true,
        logprob: -0.5,
        ratio: 1,
        accuracy_gradient: 0.7,
        efficiency_gradient: 0,
      },
      { position: 3, token: 300, sampled: true, logprob: -1 },
    ])
  })

  it('writes a table without rows', async () => {
    await rm(join(folder, 'rollouts'), { recursive: true })
    const { path, rows } = await save('rollouts', 'parquet')
    expect(rows).toBe(0)
    expect(await parquet(path)).toEqual([])
  })

  it('refuses a folder that is no run', async () => {
    await expect(
      exportRun({ run: join(folder, 'nowhere'), table: 'metrics', format: 'csv' }),
    ).rejects.toMatchObject({
      code: 'ERR_NO_RUN',
    })
  })
})

describe('exportRun refuses', () => {
  refuses(exportRun, [
    [
      { run: 'x', table: 'metrics', format: 'xml' },
      "exportRun.format: must be one of parquet, csv, jsonl, got 'xml'",
    ],
    [
      { run: 'x', table: 'all', format: 'csv' },
      "exportRun.table: must be one of metrics, rollouts, tokens, got 'all'",
    ],
  ])
})
