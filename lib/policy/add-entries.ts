// Gives a folder what another one has, without taking it away there.
import { constants } from 'node:fs'
import { chmod, copyFile, link, lstat, mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { saysNoLinks } from '../core/no-links.js'

/** Whether an entry of a folder is replaced: the rest is not ours, and stays. */
export type IsReplaced = (name: string, path: string) => boolean

/** Whether an entry takes the place of one that is there. */
type Wins = 'always' | 'where newer'

/**
 * Entries of `from` that `isReplaced` does not name come into `to` as hard links (as copies where the file system has none), with
 * folders made anew.
 */
export async function addEntries(
  from: string,
  to: string,
  isReplaced: IsReplaced,
  wins: Wins,
): Promise<void> {
  for (const name of await readdir(from)) {
    if (!isReplaced(name, join(from, name))) await add(join(from, name), join(to, name), wins)
  }
}

async function add(from: string, to: string, wins: Wins): Promise<void> {
  const entry = await lstat(from)
  const there = await lstat(to).catch(() => undefined)
  if (there?.isDirectory() && entry.isDirectory()) return addFolder(from, to, wins)
  if (there) {
    const isSame = there.ino === entry.ino && there.dev === entry.dev
    if (isSame || (wins === 'where newer' && there.mtimeMs >= entry.mtimeMs)) return
    await rm(to, { recursive: true })
  }
  if (entry.isDirectory()) {
    await mkdir(to)
    await addFolder(from, to, wins)
    return chmod(to, entry.mode)
  }
  if (entry.isSymbolicLink()) return symlink(await readlink(from), to)
  return linkOrCopy(from, to)
}

async function addFolder(from: string, to: string, wins: Wins): Promise<void> {
  for (const name of await readdir(from)) await add(join(from, name), join(to, name), wins)
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const isOtherDisk = (error as NodeJS.ErrnoException).code === 'EXDEV'
    if (!isOtherDisk && !saysNoLinks(error)) throw error
    await copyFile(from, to, constants.COPYFILE_FICLONE)
  }
}
