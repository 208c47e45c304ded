import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockJob } from '../../../lib/experiment/compare/job-lock.js'

describe('lockJob', () => {
  let parent: string
  let folder: string
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'hdpo-lock-'))
    folder = join(parent, 'cell')
  })
  afterEach(() => rmSync(parent, { recursive: true, force: true }))

  const lock = (patience = 50, signal = new AbortController().signal) => lockJob(folder, { patience, signal })

  it('lets one in, and the next one after it', async () => {
    const first = await lock()
    expect(readFileSync(join(folder, 'pid'), 'utf8')).toBe(String(process.pid))
    await expect(lock()).rejects.toMatchObject({
      code: 'ERR_COMPARE',
      message: expect.stringContaining(`is in use by process ${process.pid}`),
    })
    const waiting = lock(10_000)
    await first.release()
    const second = await waiting
    await second.release()
    expect(existsSync(join(folder, 'pid'))).toBe(false)
  })

  it('takes over from a process that is no more', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await new Promise((resolve) => child.once('exit', resolve))
    await (await lock()).release()
    writeFileSync(join(folder, 'pid'), String(child.pid))
    const held = await lock()
    expect(readFileSync(join(folder, 'pid'), 'utf8')).toBe(String(process.pid))
    await held.release()
  })

  it('stops waiting when it is told to', async () => {
    const held = await lock()
    const stop = new AbortController()
    const waiting = lock(60_000, stop.signal)
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
    await held.release()
  })
})
