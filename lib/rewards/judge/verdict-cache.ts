// Verdicts by what was asked, so that the same question costs once. In memory, and in a folder where one is given: one small
// file a verdict, written whole, safe for several processes.
import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { redactValue } from '../../core/secrets.js'
import type { Verdict } from './verdict.js'

export interface VerdictCache {
  read(key: string): Promise<Verdict | undefined>
  write(key: string, verdict: Verdict): Promise<void>
}

/** Of everything that a verdict depends on; no secret is among it. */
export function verdictKey(...parts: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** The newest `limit` verdicts. */
export class MemoryVerdictCache implements VerdictCache {
  readonly #verdicts = new Map<string, Verdict>()

  constructor(private readonly limit = 100_000) {}

  async read(key: string): Promise<Verdict | undefined> {
    return this.#verdicts.get(key)
  }

  async write(key: string, verdict: Verdict): Promise<void> {
    this.#verdicts.set(key, verdict)
    if (this.#verdicts.size > this.limit) this.#verdicts.delete(this.#verdicts.keys().next().value as string)
  }
}

export class FolderVerdictCache implements VerdictCache {
  readonly #recent = new MemoryVerdictCache(10_000)

  constructor(private readonly folder: string) {}

  /** A file that is no verdict (a disk that was full) is asked for again and replaced. */
  async read(key: string): Promise<Verdict | undefined> {
    const recent = await this.#recent.read(key)
    if (recent) return recent
    let text: string
    try {
      text = await readFile(this.#path(key), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    const verdict = parseKept(text)
    if (verdict) await this.#recent.write(key, verdict)
    return verdict
  }

  async write(key: string, verdict: Verdict): Promise<void> {
    await this.#recent.write(key, verdict)
    await mkdir(join(this.folder, key.slice(0, 2)), { recursive: true })
    await writeFileAtomic(this.#path(key), `${JSON.stringify(redactValue(verdict))}\n`, { fsync: false })
  }

  #path(key: string): string {
    return join(this.folder, key.slice(0, 2), `${key}.json`)
  }
}

function parseKept(text: string): Verdict | undefined {
  try {
    const { correct, reason } = JSON.parse(text) as Partial<Verdict>
    return typeof correct === 'boolean' ? { correct, reason: String(reason) } : undefined
  } catch {
    return undefined
  }
}
