// Answers of the web, kept in a folder: one small file each, written whole, safe for several processes. The same
// question then costs once, and training sees the same web on every step.
import { createHash } from 'node:crypto'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import type { WebAnswer } from './providers.js'

export class AnswerCache {
  constructor(
    private readonly folder: string,
    /** Milliseconds. */
    private readonly maxAge: number,
  ) {}

  /** Undefined as well for what is too old, or no answer (a disk that was full). */
  async read(key: string): Promise<WebAnswer | undefined> {
    const path = this.#path(key)
    try {
      const { mtimeMs } = await stat(path)
      if (Date.now() - mtimeMs > this.maxAge) return undefined
      return parseKept(await readFile(path, 'utf8'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async write(key: string, answer: WebAnswer): Promise<void> {
    const path = this.#path(key)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFileAtomic(path, `${JSON.stringify(answer)}\n`, { fsync: false })
  }

  #path(key: string): string {
    return join(this.folder, key.slice(0, 2), `${key}.json`)
  }
}

/** Of everything that an answer depends on; no key is among it. */
export function answerKey(...parts: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** Where caches belong: XDG_CACHE_HOME, or .cache at home. */
export function defaultCacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hdpo', 'web-search')
}

function parseKept(text: string): WebAnswer | undefined {
  try {
    const answer = JSON.parse(text) as Partial<WebAnswer>
    return Array.isArray(answer.results) ? (answer as WebAnswer) : undefined
  } catch {
    return undefined
  }
}
