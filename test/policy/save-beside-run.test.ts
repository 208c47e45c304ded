// Saving a policy into the folder of a run, while nobody, this process or another one is at work in it.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockFolder } from '../../lib/core/folder-lock.js'
import { saveBesideRun } from '../../lib/policy/save-beside-run.js'

let run: string
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), 'hdpo-beside-'))
})
afterEach(() => rmSync(run, { recursive: true, force: true }))

const locked = () => existsSync(join(run, 'run.lock'))

/** Whether the run was held while the policy was saved. */
async function save(folder = join(run, 'policy')): Promise<boolean> {
  let held: boolean | undefined
  await saveBesideRun(folder, async () => {
    held = locked()
  })
  return held as boolean
}

describe('saving a policy into a run', () => {
  it('holds the run meanwhile, and leaves other folders alone', async () => {
    expect(await save()).toBe(false)
    mkdirSync(join(run, 'checkpoints'))
    expect(await save()).toBe(true)
    expect(locked()).toBe(false)
  })

  it('goes on in the process that trains', async () => {
    const lock = await lockFolder(run)
    expect(await save()).toBe(true)
    expect(await save(run)).toBe(true)
    expect(locked()).toBe(true)
    await lock.release()
  })

  it('is refused where another process trains', async () => {
    // Process 1 lives as long as the machine does.
    const holder = { pid: 1, host: hostname(), since: '2026-01-01T00:00:00.000Z', token: 'ab' }
    writeFileSync(join(run, 'run.lock'), JSON.stringify(holder))
    for (const folder of [join(run, 'policy'), run]) {
      await expect(save(folder)).rejects.toMatchObject({
        code: 'ERR_RUN_IN_USE',
        message: expect.stringContaining('in use by process 1 on'),
      })
    }
  })
})
