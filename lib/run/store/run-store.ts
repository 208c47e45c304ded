// A run's index, opened for reading: metrics by name, rollouts by filter or full-text search, and whole rollouts.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { messageOf } from '../../core/message-of.js'
import type { Message } from '../../policy/types.js'
import type { ToolCallRecord } from '../../rollout/types.js'
import { Database, type DatabaseOptions, type SqlValue } from './database.js'
import { isDamage, isUnusable, removeIndex } from './index-damage.js'
import { type IndexProgress, indexRun } from './index-run.js'
import { ensureSchema } from './schema.js'

const indexName = 'run.sqlite'

/** A row of `rollouts` (docs/runs.md). */
export interface RolloutRow {
  id: number
  step: number
  prompt: number
  rollout: number
  name: string
  task: string
  question: string
  answer: string | null
  correct: 0 | 1 | null
  well_formed: 0 | 1
  ended: string
  turns: number
  calls: number
  failed_calls: number
  cost: number
  tokens: number
  sampled_tokens: number
  mean_logprob: number | null
  answer_reward: number | null
  format_reward: number | null
  accuracy_reward: number | null
  accuracy_advantage: number | null
  efficiency_advantage: number | null
  ungraded: string | null
}

export interface StoredSequence {
  tokens: Int32Array
  mask: Uint8Array
  logprobs: Float32Array
  trainingLogprobs?: Float32Array
}

interface StoredRollout {
  row: RolloutRow
  messages: Message[]
  toolCalls: ToolCallRecord[]
  metadata?: Record<string, unknown>
  /** Empty for a redacted rollout. */
  sequences: StoredSequence[]
}

export interface RolloutFilter {
  step?: number
  task?: string
  correct?: boolean
  /** The exact number of calls. */
  calls?: number
  minimumCalls?: number
  /** Words that must all occur; the last may be a prefix. "..." finds a phrase. */
  search?: string
  /** Only rollouts after this id, in the order of the list. */
  after?: number
  limit?: number
}

export interface RunStoreOptions extends DatabaseOptions {
  /** Told where a damaged index is made anew, or cannot be kept on disk. Default: process.emitWarning. */
  warn?: (message: string) => void
  /** Keep the index in memory where it cannot be kept on disk, e.g. in a folder without write permission. */
  orInMemory?: boolean
  /** Read all of the index for damage first, which takes a second for some hundred megabytes. */
  check?: boolean
}

export class RunStore {
  #database: Database

  private constructor(
    readonly path: string,
    private readonly options: RunStoreOptions,
  ) {
    this.#database = this.#open()
  }

  /**
   * Opens the index of the run folder at `path`. One that cannot be used is made anew, because the run's files hold everything;
   * update() fills it.
   */
  static open(path: string, options: RunStoreOptions = {}): RunStore {
    if (!existsSync(join(path, 'metrics.jsonl')) && !existsSync(join(path, 'rollouts'))) {
      throw new HdpoError(
        'ERR_NO_RUN',
        `${path} is not a run folder: it has no metrics.jsonl and no rollouts/`,
      )
    }
    const store = new RunStore(path, options)
    if (options.check) store.#mending(() => checkWhole(store.#database))
    return store
  }

  get database(): Database {
    return this.#database
  }

  /** Updates the index to the run's files; yields after each file. */
  update(): Generator<IndexProgress, void, void> {
    return indexRun(this.#database, this.path)
  }

  updateAll(): void {
    this.#mending(() => {
      for (const _ of this.update());
    })
  }

  /** Replaces the index, which `damage` says is damaged, by an empty one. */
  remake(damage: unknown): void {
    this.#database.close()
    this.#database = this.#openAnew(damage)
  }

  #mending(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (!isDamage(error)) throw error
      this.remake(error)
      work()
    }
  }

  #open(): Database {
    try {
      return openIndex(this.#indexPath, this.options)
    } catch (error) {
      if (isUnusable(error, this.#indexPath)) return this.#openAnew(error)
      return this.#openInMemory(error)
    }
  }

  #openAnew(damage: unknown): Database {
    try {
      removeIndex(this.#indexPath)
      const database = openIndex(this.#indexPath, this.options)
      this.#warn(`${this.#indexPath} is damaged (${messageOf(damage)}) and is made anew from the run's files`)
      return database
    } catch (error) {
      return this.#openInMemory(error)
    }
  }

  #openInMemory(error: unknown): Database {
    if (this.options.orInMemory !== true || error instanceof HdpoError) throw error
    this.#warn(`${this.#indexPath} cannot be used (${messageOf(error)}); the run is indexed in memory`)
    return openIndex(':memory:', this.options)
  }

  #warn(message: string): void {
    const { warn = (text) => process.emitWarning(text, 'HdpoWarning') } = this.options
    warn(message)
  }

  get #indexPath(): string {
    return join(this.path, indexName)
  }

  metricNames(): string[] {
    return this.database
      .rows<{ name: string }>('SELECT DISTINCT name FROM metrics ORDER BY name')
      .map(({ name }) => name)
  }

  /** Steps and values per name, only for steps after `after`. */
  series(names: readonly string[], after = 0): Record<string, { steps: number[]; values: number[] }> {
    return Object.fromEntries(
      names.map((name) => {
        const rows = this.database.rows<{ step: number; value: number }>(
          'SELECT step, value FROM metrics WHERE name = ? AND step > ? ORDER BY step',
          name,
          after,
        )
        return [name, { steps: rows.map(({ step }) => step), values: rows.map(({ value }) => value) }]
      }),
    )
  }

  /** For each metric, the value of the last step that has it. */
  newestMetrics(): [string, number][] {
    // In SQLite, max() selects the row that the other columns are taken from.
    return this.database
      .rows<{ name: string; value: number }>('SELECT name, value, max(step) FROM metrics GROUP BY name')
      .map(({ name, value }) => [name, value])
  }

  lastStep(): number {
    return this.database.row<{ step: number | null }>('SELECT max(step) AS step FROM steps')?.step ?? 0
  }

  /** The steps that have metrics. */
  steps(): number[] {
    return this.database
      .rows<{ step: number }>('SELECT step FROM steps ORDER BY step')
      .map(({ step }) => step)
  }

  /** All ids, in the order of steps. */
  rolloutIds(): number[] {
    return this.database.rows<{ id: number }>('SELECT id FROM rollouts ORDER BY id').map(({ id }) => id)
  }

  rolloutCount(): number {
    return this.database.row<{ count: number }>('SELECT count(*) AS count FROM rollouts')?.count ?? 0
  }

  /** The rollouts that pass the filter, newest first. */
  rollouts(filter: RolloutFilter = {}): RolloutRow[] {
    const { from, where, values } = conditions(filter)
    const order = filter.search ? 'rollout_text.rowid' : 'rollouts.id'
    const after = filter.after === undefined ? '' : ` AND ${order} < ?`
    return this.database.rows<RolloutRow>(
      `SELECT rollouts.* FROM ${from} WHERE ${where}${after} ORDER BY ${order} DESC LIMIT ?`,
      ...values,
      ...(filter.after === undefined ? [] : [filter.after]),
      filter.limit ?? 50,
    )
  }

  count(filter: RolloutFilter = {}): number {
    const { from, where, values } = conditions(filter)
    return this.database.row<{ count: number }>(
      `SELECT count(*) AS count FROM ${from} WHERE ${where}`,
      ...values,
    )?.count as number
  }

  /** The rollouts of one prompt in one step, in order. */
  group(step: number, prompt: number): RolloutRow[] {
    return this.database.rows<RolloutRow>(
      'SELECT * FROM rollouts WHERE step = ? AND prompt = ? ORDER BY rollout',
      step,
      prompt,
    )
  }

  rollout(id: number): StoredRollout | undefined {
    const row = this.database.row<RolloutRow>('SELECT * FROM rollouts WHERE id = ?', id)
    const texts = this.database.row<{ messages: string; tool_calls: string; metadata: string | null }>(
      'SELECT messages, tool_calls, metadata FROM conversations WHERE id = ?',
      id,
    )
    if (!row || !texts) return undefined
    return {
      row,
      messages: JSON.parse(texts.messages),
      toolCalls: JSON.parse(texts.tool_calls),
      ...(texts.metadata !== null && { metadata: JSON.parse(texts.metadata) }),
      sequences: this.database
        .rows<Record<'tokens' | 'mask' | 'logprobs', Uint8Array> & { training_logprobs: Uint8Array | null }>(
          'SELECT tokens, mask, logprobs, training_logprobs FROM sequences WHERE id = ? ORDER BY sequence',
          id,
        )
        .map(({ tokens, mask, logprobs, training_logprobs: training }) => ({
          tokens: new Int32Array(aligned(tokens)),
          mask: Uint8Array.from(mask),
          logprobs: new Float32Array(aligned(logprobs)),
          ...(training && { trainingLogprobs: new Float32Array(aligned(training)) }),
        })),
    }
  }

  close(): void {
    this.database.close()
  }
}

function openIndex(path: string, options: DatabaseOptions): Database {
  const database = new Database(path, options)
  try {
    ensureSchema(database)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Throws as a query does that comes upon damage. */
function checkWhole(database: Database): void {
  const [found] = database.rows<{ quick_check: string }>('PRAGMA quick_check(1)')
  if (found?.quick_check === 'ok') return
  throw Object.assign(new Error(found?.quick_check ?? 'the check found no database'), {
    code: 'SQLITE_CORRUPT',
  })
}

function conditions({ step, task, correct, calls, minimumCalls, search }: RolloutFilter) {
  const wanted: [string, SqlValue | undefined][] = [
    ['rollout_text MATCH ?', search ? searchExpression(search) : undefined],
    ['step = ?', step],
    ['rollouts.task = ?', task],
    ['correct = ?', correct === undefined ? undefined : Number(correct)],
    ['calls = ?', calls],
    ['calls >= ?', minimumCalls],
  ]
  const given = wanted.filter((condition): condition is [string, SqlValue] => condition[1] !== undefined)
  return {
    from: search ? 'rollout_text JOIN rollouts ON rollouts.id = rollout_text.rowid' : 'rollouts',
    where: given.length === 0 ? 'TRUE' : given.map(([condition]) => condition).join(' AND '),
    values: given.map(([, value]) => value),
  }
}

/** A user's search text in FTS5's syntax, in which no character acts as an operator. */
export function searchExpression(text: string): string {
  // SQLite takes a NUL for the end of the expression.
  const parts = text.match(/"[^"\0]*"?|[^\s"\0]+/g) ?? []
  const terms = parts
    .map((part) => ({ word: part.replaceAll('"', ''), phrase: part.startsWith('"') }))
    .filter(({ word }) => /[\p{L}\p{N}]/u.test(word))
    .map(({ word, phrase }, index, { length }) => `"${word}"${!phrase && index === length - 1 ? ' *' : ''}`)
  // A text of punctuation alone finds nothing.
  return terms.length === 0 ? '""' : terms.join(' ')
}

/** A copy, because views with four-byte elements must begin at a multiple of four. */
function aligned(blob: Uint8Array): ArrayBuffer {
  return Uint8Array.from(blob).buffer
}
