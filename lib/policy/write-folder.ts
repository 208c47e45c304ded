// A folder that appears whole or not at all: filled beside its place, fsynced, renamed.

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { syncPath } from '../core/sync-path.js'

/**
 * `write` fills a fresh folder, which then takes the name `folder`. Other files of an existing folder are kept, except those that
 * `isReplaced` names: old files that would be mixed up with the new ones.
 */
export async function writeFolder(
  folder: string,
  write: (folder: string) => Promise<void>,
  isReplaced: (name: string) => boolean,
): Promise<void> {
  const target = resolve(folder)
  const suffix = `${process.pid}-${randomBytes(3).toString('hex')}`
  const partial = join(dirname(target), `.${basename(target)}.partial-${suffix}`)
  await mkdir(partial, { recursive: true })
  try {
    await write(partial)
    await syncTree(partial)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
  if (!existsSync(target)) {
    await rename(partial, target)
    return syncPath(dirname(target))
  }
  const replaced = join(dirname(target), `.${basename(target)}.replaced-${suffix}`)
  await rename(target, replaced)
  await rename(partial, target)
  for (const name of await readdir(replaced)) {
    if (!isReplaced(name) && !existsSync(join(target, name)))
      await rename(join(replaced, name), join(target, name))
  }
  await rm(replaced, { recursive: true, force: true })
  await syncPath(dirname(target))
}

async function syncTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) await syncPath(join(entry.parentPath, entry.name))
  await syncPath(folder)
}
