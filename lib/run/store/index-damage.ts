// What is wrong with a run.sqlite that cannot be used, and taking a damaged one away: it can be made anew from the run's files.
import { accessSync, constants, rmdirSync, rmSync, statSync } from 'node:fs'

/** SQLite's primary result codes (sqlite.org/rescode.html), of those that are told apart here. */
const codes: Record<number, string> = {
  1: 'ERROR',
  10: 'IOERR',
  11: 'CORRUPT',
  14: 'CANTOPEN',
  26: 'NOTADB',
}
const shortRead = 522

/** The name of SQLite's primary code, such as CORRUPT; undefined where an error is not SQLite's, or of another code. */
function codeOf(error: unknown): string | undefined {
  // node:sqlite gives a number that may be an extended one, better-sqlite3 a name.
  const { errcode, code } = error as { errcode?: number; code?: string }
  if (errcode !== undefined) return errcode === shortRead ? 'CORRUPT' : codes[errcode & 0xff]
  if (code === 'SQLITE_IOERR_SHORT_READ') return 'CORRUPT'
  return /^SQLITE_([A-Z]+)/.exec(code ?? '')?.[1]
}

/** Whether an error says that the content of the file is damaged, or is not an index of a run. */
export function isDamage(error: unknown): boolean {
  const code = codeOf(error)
  if (code === 'CORRUPT' || code === 'NOTADB') return true
  return code === 'ERROR' && (error as Error).message.includes('no such table')
}

/** Whether an error says that no index can be opened at `path` while the file that is there stays. */
export function isUnusable(error: unknown, path: string): boolean {
  const code = codeOf(error)
  // A table of another program may stand in the way of the schema.
  return isDamage(error) || code === 'ERROR' || (code === 'CANTOPEN' && isInTheWay(path))
}

/** A folder, or a file without permission. Too many open files look the same to SQLite, and are no fault of the file. */
function isInTheWay(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) return true
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

/** Removes an index with the files that SQLite keeps beside it. A folder in its place is removed only if it is empty. */
export function removeIndex(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) rmdirSync(path)
  for (const file of [path, `${path}-wal`, `${path}-shm`]) rmSync(file, { force: true })
}
