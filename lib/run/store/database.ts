// SQLite from node:sqlite where Node has it (22.13 and later), otherwise from better-sqlite3. WASM builds were tried and left
// out: without shared memory they have no WAL, so a reader would block the trainer's index.
import { createRequire } from 'node:module'
import { HdpoError } from '../../core/errors.js'

export type SqlValue = string | number | bigint | null | Uint8Array
type Row = Record<string, SqlValue>

interface Statement {
  run(...values: SqlValue[]): unknown
  get(...values: SqlValue[]): unknown
  all(...values: SqlValue[]): unknown[]
  iterate(...values: SqlValue[]): IterableIterator<unknown>
}

interface Connection {
  prepare(sql: string): Statement
  exec(sql: string): unknown
  close(): unknown
}

export interface DatabaseOptions {
  /** Milliseconds to wait for another process's write. Default 10 s. */
  busyTimeout?: number
  /** The implementation. Default: node:sqlite where there is one. */
  implementation?: 'node:sqlite' | 'better-sqlite3'
}

/** One connection in WAL mode, so that readers and the single writer do not wait for each other. */
export class Database {
  readonly #connection: Connection
  readonly #statements = new Map<string, Statement>()

  constructor(path: string, { busyTimeout = 10_000, implementation }: DatabaseOptions = {}) {
    this.#connection = connect(path, implementation ?? availableImplementation())
    try {
      this.exec(`PRAGMA busy_timeout = ${busyTimeout}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
        PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768`)
    } catch (error) {
      this.#connection.close()
      throw error
    }
  }

  exec(sql: string): void {
    this.#connection.exec(sql)
  }

  /** A prepared statement, cached by its text. */
  sql(text: string): Statement {
    let statement = this.#statements.get(text)
    if (!statement) {
      statement = this.#connection.prepare(text)
      this.#statements.set(text, statement)
    }
    return statement
  }

  rows<Result = Row>(sql: string, ...values: SqlValue[]): Result[] {
    return this.sql(sql).all(...values) as Result[]
  }

  row<Result = Row>(sql: string, ...values: SqlValue[]): Result | undefined {
    return (this.sql(sql).get(...values) ?? undefined) as Result | undefined
  }

  /** Runs all of `work` or nothing. It takes the write lock at once, so that what was read still holds when it writes. */
  transaction<Result>(work: () => Result): Result {
    this.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.exec('COMMIT')
      return result
    } catch (error) {
      this.exec('ROLLBACK')
      throw error
    }
  }

  close(): void {
    this.#statements.clear()
    this.#connection.close()
  }
}

function availableImplementation(): NonNullable<DatabaseOptions['implementation']> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 13) ? 'node:sqlite' : 'better-sqlite3'
}

function connect(path: string, implementation: 'node:sqlite' | 'better-sqlite3'): Connection {
  const require = createRequire(import.meta.url)
  if (implementation === 'node:sqlite') {
    const { DatabaseSync } = require('node:sqlite') as { DatabaseSync: new (path: string) => Connection }
    return new DatabaseSync(path)
  }
  let BetterSqlite3: new (path: string) => Connection
  try {
    BetterSqlite3 = require('better-sqlite3')
    return new BetterSqlite3(path)
  } catch (error) {
    const { code } = error as { code?: string }
    if (code?.startsWith('SQLITE_')) throw error
    throw new HdpoError(
      'ERR_NO_SQLITE',
      `SQLite is not there (${(error as Error).message.split('\n')[0]}). Node 22.13 and later bring it; for Node ` +
        `${process.versions.node}: npm install better-sqlite3 && npm rebuild better-sqlite3 (npm 12 needs its install script ` +
        'allowed: npm install-scripts approve better-sqlite3)',
      { cause: error },
    )
  }
}
