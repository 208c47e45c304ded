// One run folder of the dashboard. Its index is updated in slices, so that a request never waits for a whole run.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ApiError } from '../http/api-error.js'
import { loadTokenizer } from '../policy/tokenizer.js'
import type { Tokenizer } from '../policy/types.js'
import { isDamage } from '../run/store/index-damage.js'
import type { IndexProgress } from '../run/store/index-run.js'
import { RunStore } from '../run/store/run-store.js'

// The longest that one slice of indexing blocks the event loop, plus one file.
const sliceMilliseconds = 30
// A run that has written within this time counts as still training.
const liveMilliseconds = 30_000

interface RunStatus {
  id: string
  lastStep: number
  rollouts: number
  live: boolean
  /** Present while older steps are being indexed. */
  indexing?: IndexProgress
  error?: string
}

export class OpenRun {
  readonly #store: RunStore
  /** Which folder and index were opened. */
  #files: string
  #seen = ''
  #indexing: IndexProgress | undefined
  #working: Promise<void> | undefined
  #error: string | undefined
  #closed = false
  #tokenizer: Tokenizer | undefined

  constructor(
    readonly id: string,
    readonly path: string,
    warn: (message: string) => void,
  ) {
    this.#store = RunStore.open(path, { warn, orInMemory: true })
    this.#files = this.#identity()
  }

  /** Whether the path still leads to the run that was opened: it may have been replaced by another, or its index removed. */
  isThere(): boolean {
    return this.#identity() === this.#files
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /**
   * What `work` reads. An index that turns out to be damaged is made anew; it is then empty at first. Throws ApiError 404 for a
   * run that was removed meanwhile.
   */
  read<Result>(work: (store: RunStore) => Result): Result {
    if (this.#closed)
      throw new ApiError(404, `run: ${JSON.stringify(this.id)} is no longer there`, { param: 'run' })
    try {
      return work(this.#store)
    } catch (error) {
      if (!isDamage(error)) throw error
      this.#remake(error)
      return work(this.#store)
    }
  }

  /** Resolves once the index has what the files held at the call, or after `milliseconds`. */
  async refresh(milliseconds: number): Promise<void> {
    const seen = this.#filesState()
    if (seen !== this.#seen && !this.#working) {
      this.#working = this.#update(seen).finally(() => {
        this.#working = undefined
      })
    }
    if (!this.#working) return
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      this.#working,
      new Promise((resolve) => {
        timer = setTimeout(resolve, milliseconds)
      }),
    ])
    clearTimeout(timer)
  }

  status(): RunStatus {
    const indexing = this.#indexing
    return {
      id: this.id,
      ...this.read((store) => ({ lastStep: store.lastStep(), rollouts: store.rolloutCount() })),
      live: Date.now() - this.#lastWrite() < liveMilliseconds,
      ...(indexing && indexing.done < indexing.total && { indexing }),
      ...(this.#error !== undefined && { error: this.#error }),
    }
  }

  /** The tokenizer of the policy that the run saved; undefined before its first checkpoint. */
  tokenizer(): Tokenizer | undefined {
    if (!this.#tokenizer) {
      const folder = this.#tokenizerFolder()
      if (folder) this.#tokenizer = loadTokenizer(folder)
    }
    return this.#tokenizer
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#working
    this.#store.close()
  }

  #remake(damage: unknown): void {
    this.#store.remake(damage)
    this.#files = this.#identity()
    this.#seen = ''
  }

  async #update(seen: string): Promise<void> {
    try {
      let sliceEnd = performance.now() + sliceMilliseconds
      for (const progress of this.#store.update()) {
        this.#indexing = progress
        if (this.#closed) return
        if (performance.now() < sliceEnd) continue
        await new Promise((resolve) => setImmediate(resolve))
        sliceEnd = performance.now() + sliceMilliseconds
      }
      this.#seen = seen
      this.#error = undefined
    } catch (error) {
      // The next look at the run indexes it anew.
      if (isDamage(error)) this.#remake(error)
      else this.#error = (error as Error).message
    } finally {
      this.#indexing = undefined
    }
  }

  /** Changes whenever the run has written: files are appended to, or renamed into rollouts/. */
  #filesState(): string {
    const parts = ['metrics.jsonl', 'rollouts'].map((name) =>
      statSync(join(this.path, name), { throwIfNoEntry: false }),
    )
    return parts.map((status) => (status ? `${status.ino}:${status.size}:${status.mtimeMs}` : '-')).join(' ')
  }

  /** A new index in the place of a removed or damaged one is another file. */
  #identity(): string {
    const parts = [this.path, join(this.path, 'run.sqlite')].map((path) =>
      statSync(path, { throwIfNoEntry: false }),
    )
    return parts.map((status) => (status ? `${status.dev}:${status.ino}` : '-')).join(' ')
  }

  #lastWrite(): number {
    return statSync(join(this.path, 'metrics.jsonl'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  }

  #tokenizerFolder(): string | undefined {
    const checkpoints = join(this.path, 'checkpoints')
    const saved = existsSync(checkpoints)
      ? readdirSync(checkpoints).map((name) => join(checkpoints, name))
      : []
    return [join(this.path, 'policy'), ...saved].find((folder) => existsSync(join(folder, 'tokenizer.json')))
  }
}
