import { readFile } from 'node:fs/promises'
import { decodeText } from './text-file.js'

/** A file's text, or undefined where there is no file at the path. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return decodeText(await readFile(path), path, 'ERR_DATA')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
