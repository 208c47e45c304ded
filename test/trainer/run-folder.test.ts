import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RunFolder, readMetrics } from '../../lib/trainer/run-folder.js'

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'hdpo-run-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

const open = (resume: boolean) => RunFolder.open(path, { resume, keepCheckpoints: 2, warn: () => {} })

describe('RunFolder', () => {
  it('forgets on resume what came after the checkpoint, a half-written line included', async () => {
    const run = await open(false)
    for (const step of [1, 2]) {
      await run.appendMetrics({ step })
      await run.writeRollouts(step, [{ step }])
    }
    await run.saveCheckpoint(2, async () => {})
    await run.appendMetrics({ step: 3 })
    await run.writeRollouts(3, [{ step: 3 }])
    await appendFile(join(path, 'metrics.jsonl'), '{"step":4,"accu')

    const resumed = await open(true)
    expect(resumed.resumedFrom?.step).toBe(2)
    expect(await readFile(join(path, 'metrics.jsonl'), 'utf8')).toBe('{"step":1}\n{"step":2}\n')
    expect(await readFile(resumed.rolloutsPath(2), 'utf8')).toBe('{"step":2}\n')
    await expect(readFile(resumed.rolloutsPath(3))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('starts over on resume when there is no checkpoint yet', async () => {
    const run = await open(false)
    await run.appendMetrics({ step: 1 })
    const resumed = await open(true)
    expect(resumed.resumedFrom).toBeUndefined()
    expect(await readMetrics(path)).toEqual([])
  })

  it('refuses a folder that holds a run unless it is to be resumed', async () => {
    await (await open(false)).appendMetrics({ step: 1 })
    await expect(open(false)).rejects.toMatchObject({
      code: 'ERR_RUN_EXISTS',
      message: expect.stringContaining(path),
    })
  })

  it('writes typed arrays as lists that give the same float32 back', async () => {
    const run = await open(false)
    const logprobs = Float32Array.of(-0.1, -1e-7, -12.345678)
    await run.writeRollouts(1, [{ tokens: Int32Array.of(5, 6), logprobs }])
    const read = JSON.parse(await readFile(run.rolloutsPath(1), 'utf8'))
    expect(read.tokens).toEqual([5, 6])
    expect(Float32Array.from(read.logprobs)).toEqual(logprobs)
  })

  it('names the line of a damaged metrics.jsonl', async () => {
    await open(false)
    await appendFile(join(path, 'metrics.jsonl'), '{"step":1}\nbroken\n')
    await expect(readMetrics(path)).rejects.toMatchObject({
      code: 'ERR_RUN_FOLDER',
      message: expect.stringContaining('metrics.jsonl:2'),
    })
  })
})
