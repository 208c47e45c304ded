// A cache in a folder, so that the same question costs once: one small file per answer, named by a hash of the question. Files
// are written atomically, so several processes may share the folder.
import { createHash } from 'node:crypto'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'

interface FolderCacheOptions<Value> {
  /** Reads the JSON of a cached file; returns undefined where it is no valid value. */
  parse: (kept: unknown) => Value | undefined
  /** Maximum age in milliseconds; older files count as absent. Default: everything is kept for good. */
  maxAge?: number
}

/** Hash of everything that an answer depends on. The parts must not hold a secret. */
export function cacheKey(...parts: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

export class FolderCache<Value> {
  constructor(
    private readonly folder: string,
    private readonly options: FolderCacheOptions<Value>,
  ) {}

  /** Also undefined where the file is too old or broken (the disk was full); the next `write` replaces it. */
  async read(key: string): Promise<Value | undefined> {
    const { parse, maxAge = Number.POSITIVE_INFINITY } = this.options
    const path = this.#path(key)
    let text: string
    try {
      const { mtimeMs } = await stat(path)
      if (Date.now() - mtimeMs > maxAge) return undefined
      text = await readFile(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    const kept = parseJson(text)
    return kept === undefined ? undefined : parse(kept)
  }

  async write(key: string, value: Value): Promise<void> {
    const path = this.#path(key)
    await mkdir(dirname(path), { recursive: true })
    await writeFileAtomic(path, `${JSON.stringify(value)}\n`, { fsync: false })
  }

  #path(key: string): string {
    return join(this.folder, key.slice(0, 2), `${key}.json`)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
