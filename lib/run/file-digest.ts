// Size and SHA-256 of a file, by which a run finds out whether it is still the one that was written.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'

export interface FileDigest {
  /** Bytes. */
  size: number
  sha256: string
}

export async function digestOf(path: string): Promise<FileDigest> {
  return { size: (await stat(path)).size, sha256: await sha256(path) }
}

/** What differs from the file that was written, as the rest of a sentence; undefined where nothing does. */
export async function findDifference(path: string, expected: FileDigest): Promise<string | undefined> {
  const found = await stat(path).catch(ignoreMissing)
  if (!found) return 'is missing'
  if (found.size !== expected.size) return `has ${found.size} bytes instead of ${expected.size}`
  if ((await sha256(path)) !== expected.sha256) return 'does not match its SHA-256'
  return undefined
}

export function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
  return undefined
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
