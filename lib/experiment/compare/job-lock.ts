// A lock, so that one process at a time works in a job's folder: a process that a killed comparison left behind finishes its step
// and saves before the next one goes on from there.
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HdpoError } from '../../core/errors.js'
import { readIfThere } from '../../core/read-if-there.js'

interface JobLock {
  release(): Promise<void>
}

interface LockOptions {
  /** Milliseconds to wait for another process that holds the folder. */
  patience: number
  signal: AbortSignal
}

/** Rejects with ERR_COMPARE where another process holds the folder for longer than `patience`. */
export async function lockJob(folder: string, { patience, signal }: LockOptions): Promise<JobLock> {
  await mkdir(folder, { recursive: true })
  const path = join(folder, 'pid')
  const deadline = performance.now() + patience
  for (;;) {
    if (await write(path)) return { release: () => rm(path, { force: true }) }
    const holder = await holderOf(path)
    if (holder !== undefined && !isAlive(holder)) {
      await rm(path, { force: true })
    } else if (performance.now() > deadline) {
      throw new HdpoError(
        'ERR_COMPARE',
        `${folder} is in use by process ${holder}; end it, or delete ${path} where that is no process of a comparison`,
      )
    } else {
      await sleep(100, undefined, { signal })
    }
  }
}

/** Creates the lock file. False where it exists already. */
async function write(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** The id of the process that holds the lock. Undefined where the file is gone, or its writer has not written the id yet. */
async function holderOf(path: string): Promise<number | undefined> {
  const text = await readIfThere(path)
  return text ? Number(text) : undefined
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM means that the process exists and belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
