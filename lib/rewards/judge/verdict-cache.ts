// Verdicts by question, in memory, and in a folder if one is given.
import { FolderCache } from '../../core/folder-cache.js'
import { isRecord } from '../../core/is-record.js'
import { redactValue } from '../../core/redact.js'
import type { Verdict } from './verdict.js'

export interface VerdictCache {
  read(key: string): Promise<Verdict | undefined>
  write(key: string, verdict: Verdict): Promise<void>
}

/** Keeps the newest `limit` verdicts. */
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
  readonly #kept: FolderCache<Verdict>

  constructor(folder: string) {
    this.#kept = new FolderCache(folder, { parse: parseVerdict })
  }

  async read(key: string): Promise<Verdict | undefined> {
    const recent = await this.#recent.read(key)
    if (recent) return recent
    const verdict = await this.#kept.read(key)
    if (verdict) await this.#recent.write(key, verdict)
    return verdict
  }

  async write(key: string, verdict: Verdict): Promise<void> {
    await this.#recent.write(key, verdict)
    await this.#kept.write(key, redactValue(verdict))
  }
}

function parseVerdict(kept: unknown): Verdict | undefined {
  if (!isRecord(kept) || typeof kept.correct !== 'boolean') return undefined
  return { correct: kept.correct, reason: String(kept.reason) }
}
