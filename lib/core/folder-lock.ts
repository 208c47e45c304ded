// A folder that one process at a time may write into. <folder>/run.lock says who that is.
//
// A lock file always appears whole: it is written under another name and then linked, which fails where the name is taken. Every
// lock has a token of its own. Who finds a lock whose holder has ended replaces it, and takes a guard for that first: a lock named
// after the token of the lock that is replaced. So only one process replaces a given lock, and only while it is still that one;
// whoever comes later finds another token, and waits or is refused like anybody else.
import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { link, open, readdir, realpath, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onExit } from 'signal-exit'
import { HdpoError } from './errors.js'
import { isRecord } from './is-record.js'
import { saysNoLinks } from './no-links.js'
import { processState } from './process-start.js'
import { readIfThere } from './read-if-there.js'
import { makeWritable } from './writable.js'

export const lockName = 'run.lock'

/** What a lock file says. */
interface Holder {
  pid: number
  host: string
  /** Of the process, so that a later one with the same id is not taken for it; absent where the system does not say. */
  started?: string
  /** When the lock was taken, ISO 8601. */
  since: string
  token: string
}

interface LockOptions {
  /** Milliseconds to wait for another process that holds the folder. Default 0: it is refused at once. */
  patience?: number
  /** Ends the waiting. */
  signal?: AbortSignal
}

export interface FolderLock {
  release(): Promise<void>
}

// Milliseconds that another process may take to replace the lock of one that has ended; it is a matter of a few.
const replacingTakes = 10_000

/** The folders that the callers of this code hold already, by their paths. */
const heldAround = new AsyncLocalStorage<ReadonlySet<string>>()

/** Lock files of this process with their tokens, removed when it ends. */
const ownLocks = new Map<string, string>()

/**
 * Runs `work` while this process holds the folder, which is made where it is absent. What `work` calls may take the folder again.
 * Rejects with ERR_RUN_IN_USE, which names process, host and time, where another run holds it.
 */
export async function whileHeld<Result>(
  folder: string,
  work: () => Promise<Result>,
  options: LockOptions = {},
): Promise<Result> {
  const lock = await lockFolder(folder, options)
  try {
    return await heldAround.run(new Set([...(heldAround.getStore() ?? []), await realpath(folder)]), work)
  } finally {
    await lock.release()
  }
}

/** whileHeld, but this process may hold the folder already, also for something that does not call this code. */
export async function whileHeldHere<Result>(folder: string, work: () => Promise<Result>): Promise<Result> {
  return ownLocks.has(join(await realpath(folder), lockName)) ? work() : whileHeld(folder, work)
}

/** Takes the folder until `release`. Within whileHeld of the same folder it is taken already, and `release` does nothing. */
export async function lockFolder(folder: string, options: LockOptions = {}): Promise<FolderLock> {
  await makeWritable(folder)
  const target = await realpath(folder)
  if (heldAround.getStore()?.has(target)) return { release: async () => undefined }
  const path = join(target, lockName)
  const token = await take(path, options)
  await removeLeftovers(target)
  return { release: () => release(path, token) }
}

/** Refuses a folder that another process holds. Nothing is taken, and a folder that is absent is fine. */
export async function refuseHeldByOthers(folder: string): Promise<void> {
  if (!existsSync(folder)) return
  const path = join(await realpath(folder), lockName)
  const found = await read(path)
  if (found === undefined || ownLocks.get(path) === tokenOf(found)) return
  if (found === 'damaged' || !(await hasEnded(found))) throw inUse(path, found)
}

async function take(path: string, { patience = 0, signal }: LockOptions): Promise<string> {
  const began = performance.now()
  let unreadable = 0
  for (;;) {
    const token = await create(path)
    if (token !== undefined) return token
    const found = await read(path)
    if (found === undefined) continue
    if (found === 'damaged') {
      // Where the file system has no links the file appears before its text does.
      if (++unreadable > 20) throw inUse(path, found)
      await sleep(50, undefined, { ...(signal && { signal }) })
    } else if (await hasEnded(found)) {
      const replaced = await replace(path, found)
      if (replaced !== undefined) return replaced
      if (performance.now() - began > Math.max(patience, replacingTakes)) throw inUse(path, found)
    } else if (performance.now() - began >= patience) {
      throw inUse(path, found)
    } else {
      await sleep(100, undefined, { ...(signal && { signal }) })
    }
  }
}

/** Makes the lock and returns its token. Undefined where there is one already. */
async function create(path: string): Promise<string | undefined> {
  const { token, written } = await writeBeside(path)
  try {
    await link(written, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined
    if (!saysNoLinks(error)) throw error
    if (!(await createWithoutLink(path, token))) return undefined
  } finally {
    await rm(written, { force: true })
  }
  own(path, token)
  return token
}

/** Replaces the lock of a process that has ended. Undefined where another process was first. */
async function replace(path: string, stale: Holder): Promise<string | undefined> {
  const guard = join(path, '..', `${lockName}.${stale.token}`)
  let guardToken: string
  try {
    guardToken = await take(guard, {})
  } catch (error) {
    // Another process is replacing it at this moment.
    if (!(error instanceof HdpoError)) throw error
    await sleep(5)
    return undefined
  }
  try {
    const found = await read(path)
    if (found === undefined || found === 'damaged' || found.token !== stale.token) return undefined
    const { token, written } = await writeBeside(path)
    await rename(written, path)
    own(path, token)
    return token
  } finally {
    await release(guard, guardToken)
  }
}

async function release(path: string, token: string): Promise<void> {
  if (ownLocks.get(path) !== token) return
  ownLocks.delete(path)
  const found = await read(path)
  if (found !== undefined && tokenOf(found) === token) await rm(path, { force: true })
}

function own(path: string, token: string): void {
  removeAtExit()
  ownLocks.set(path, token)
}

let listening = false

/** A process that a signal or process.exit() ends gives up its locks; after kill -9 they are found to be stale. */
function removeAtExit(): void {
  if (listening) return
  listening = true
  onExit(() => {
    for (const [path, token] of ownLocks) {
      try {
        if (tokenOf(parse(readFileSync(path, 'utf8'))) === token) rmSync(path)
      } catch (error) {
        // The folder may be gone, or its disk: then so is the lock, or it will be found to be stale.
        if (!(error as NodeJS.ErrnoException).code) throw error
      }
    }
  })
}

async function writeBeside(path: string): Promise<{ token: string; written: string }> {
  const token = randomBytes(8).toString('hex')
  const written = join(path, '..', `.${lockName}-${token}`)
  const file = await open(written, 'wx')
  try {
    await file.writeFile(await describeSelf(token))
    await file.sync()
  } finally {
    await file.close()
  }
  return { token, written }
}

async function createWithoutLink(path: string, token: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx')
    try {
      await file.writeFile(await describeSelf(token))
    } finally {
      await file.close()
    }
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function describeSelf(token: string): Promise<string> {
  const state = await processState(process.pid)
  const holder: Holder = {
    pid: process.pid,
    host: hostname(),
    ...(state.alive && state.started !== undefined && { started: state.started }),
    since: new Date().toISOString(),
    token,
  }
  return `${JSON.stringify(holder)}\n`
}

async function read(path: string): Promise<Holder | 'damaged' | undefined> {
  const text = await readIfThere(path)
  return text === undefined ? undefined : parse(text)
}

function parse(text: string): Holder | 'damaged' {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'damaged'
  }
  if (!isRecord(value)) return 'damaged'
  const { pid, host, since, token } = value
  const whole =
    Number.isSafeInteger(pid) && [host, since].every((field) => typeof field === 'string') && isToken(token)
  return whole ? (value as unknown as Holder) : 'damaged'
}

/** A token becomes part of a file's name. */
const isToken = (token: unknown): boolean => typeof token === 'string' && /^[0-9a-f]{1,64}$/.test(token)

function tokenOf(found: Holder | 'damaged'): string | undefined {
  return found === 'damaged' ? undefined : found.token
}

/** Whether the holder is certainly no more. Of a process on another host nothing is known. */
async function hasEnded({ pid, host, started }: Holder): Promise<boolean> {
  if (host !== hostname()) return false
  const now = await processState(pid)
  if (!now.alive) return true
  return started !== undefined && now.started !== undefined && now.started !== started
}

function inUse(path: string, holder: Holder | 'damaged'): HdpoError {
  const folder = join(path, '..')
  if (holder === 'damaged') {
    const what = `${path} does not say who holds the folder`
    return new HdpoError('ERR_RUN_IN_USE', `${what}; where no process uses ${folder}, delete the file`)
  }
  const { pid, host, since } = holder
  const elsewhere = host !== hostname()
  const who = pid === process.pid && !elsewhere ? `this process (${pid})` : `process ${pid}`
  const what = elsewhere
    ? `that is another host, so whether it still runs cannot be seen from here: where it has ended, delete ${path}`
    : 'wait until it has ended, or end it'
  return new HdpoError('ERR_RUN_IN_USE', `${folder} is in use by ${who} on ${host} since ${since}; ${what}`)
}

/** Removes what processes left that were killed while they took the folder. The caller holds it. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${lockName}.`) && !name.startsWith(`.${lockName}-`)) continue
    const found = await read(join(folder, name))
    if (found === undefined || found === 'damaged' || !(await hasEnded(found))) continue
    await rm(join(folder, name), { force: true })
  }
}
