// A folder that is replaced as a whole: filled beside its place, fsynced, and exchanged with what was there in one step. At every moment
// the name stands for one whole folder, the old or the new, and what others have put there is in both.

import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { processState } from '../core/process-start.js'
import { syncPath } from '../core/sync-path.js'
import { loadAddon, toHdpoError } from '../native/addon.js'
import { addEntries, type IsReplaced } from './add-entries.js'

/**
 * `write` fills a fresh folder, which then takes the name `folder`. Entries of an existing folder are kept, except those that
 * `isReplaced` names: old files that would be mixed up with the new ones. Where the system cannot exchange two folders in one step
 * (NFS), two renames do it; what a crash leaves between them is put back by the next call.
 */
export async function writeFolder(
  folder: string,
  write: (folder: string) => Promise<void>,
  isReplaced: IsReplaced,
): Promise<void> {
  const target = await realFolder(folder)
  await mkdir(dirname(target), { recursive: true })
  await removeLeftovers(target, isReplaced)
  const suffix = `${await processName(process.pid)}-${randomBytes(3).toString('hex')}`
  const beside = (state: string) => join(dirname(target), `.${basename(target)}.${state}-${suffix}`)
  const [partial, replaced] = [beside('partial'), beside('replaced')]
  await mkdir(partial)
  try {
    await write(partial)
    await syncTree(partial)
    const old = await stat(target).catch(() => undefined)
    if (!old) {
      await rename(partial, target)
      return await syncPath(dirname(target))
    }
    await addEntries(target, partial, isReplaced, 'always')
    await chmod(partial, old.mode)
    await syncPath(partial)
    await exchange(partial, target, replaced)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
  await discard(replaced, target, isReplaced)
  await syncPath(dirname(target))
}

/** Of a link, what it points to: the link stays. */
async function realFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined)
  if (!found) return resolve(folder)
  if (!found.isDirectory()) throw new HdpoError('ERR_POLICY_FOLDER', `${folder} is a file, not a folder`)
  return realpath(folder)
}

async function exchange(partial: string, target: string, replaced: string): Promise<void> {
  let exchanged: boolean
  try {
    exchanged = loadAddon().exchangePaths(partial, target)
  } catch (error) {
    throw toHdpoError(error)
  }
  if (exchanged) return rename(partial, replaced)
  await rename(target, replaced)
  await rename(partial, target)
}

/** What came into the old folder while the new one was being exchanged for it is kept too. */
async function discard(replaced: string, target: string, isReplaced: IsReplaced): Promise<void> {
  await addEntries(replaced, target, isReplaced, 'where newer')
  await rm(replaced, { recursive: true, force: true })
}

/**
 * Host, number and start of a process: another host may share the disk, and a later process have the number. Undefined where none has
 * the number now.
 */
async function processName(pid: number): Promise<string | undefined> {
  const state = await processState(pid)
  if (!state.alive) return undefined
  const started = createHash('sha256')
    .update(state.started ?? '')
    .digest('hex')
    .slice(0, 8)
  return `${hostName()}-${pid}-${started}`
}

function hostName(): string {
  return hostname().replace(/[^\w.]/g, '_')
}

/** Finishes or removes what processes of this host left that ended while they were saving. */
async function removeLeftovers(target: string, isReplaced: IsReplaced): Promise<void> {
  const parent = dirname(target)
  const begin = `.${basename(target)}.`
  for (const name of await readdir(parent)) {
    if (!name.startsWith(begin)) continue
    const found = /^(partial|replaced)-(([\w.]+)-(\d+)-[0-9a-f]{8})-[0-9a-f]{6}$/.exec(
      name.slice(begin.length),
    )
    if (!found) continue
    const [, state, writer, host, pid] = found
    if (host !== hostName() || (await processName(Number(pid))) === writer) continue
    const path = join(parent, name)
    if (state === 'partial') await rm(path, { recursive: true, force: true })
    else if (await stat(target).catch(() => undefined)) await discard(path, target, isReplaced)
    else await rename(path, target)
  }
}

async function syncTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) await syncPath(join(entry.parentPath, entry.name))
  await syncPath(folder)
}
