// Rows of a data set, one at a time: JSONL and Parquet files, folders of them, arrays, anything that can be iterated.

import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { jsonProblem } from '../core/exact-json.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { reasonOf } from '../core/system-error.js'
import { readLines } from '../core/text-file.js'
import { type LineNumbers, parseJsonLine } from './json-line.js'
import { parquetRows } from './parquet.js'

export type Row = Record<string, unknown>

/**
 * A path of a .jsonl, .ndjson or .parquet file or of a folder of them (in the order of their names), a list of paths, rows, or
 * a function that starts an iteration over rows.
 */
export type RowSource =
  | string
  | readonly string[]
  | readonly Row[]
  | AsyncIterable<Row>
  | (() => AsyncIterable<Row>)

interface PlacedRow {
  value: unknown
  /** For error messages: 'data.jsonl:7'. */
  where: string
  /** The id that the row gets if it has none, unique over all files of a source. */
  defaultId: string
  /** Where it is within its file: 'line 7'. */
  place: string
  /** Whether extra columns are allowed. In Parquet files, which other programs write, they are no typing mistakes. */
  mayHaveMore?: boolean
}

export const lineExtensions = ['.jsonl', '.ndjson']

interface ReadRowsOptions {
  /** Once it is aborted, asking for the next row rejects with its reason. */
  signal?: AbortSignal | undefined
  /** Default: 'unheld'. */
  numbers?: LineNumbers
  /** Told of a line that is no JSON, which is then left out. Default: it is an error. */
  onBadLine?: ((where: string, reason: string) => void) | undefined
}

export async function* readRows(
  source: RowSource,
  { signal, numbers = 'unheld', onBadLine }: ReadRowsOptions = {},
): AsyncGenerator<PlacedRow, void, void> {
  for await (const row of rowsOf(source, { numbers, onBadLine })) {
    signal?.throwIfAborted()
    yield row
  }
}

type Lines = Pick<ReadRowsOptions, 'onBadLine'> & { numbers: LineNumbers }

async function* rowsOf(source: RowSource, lines: Lines): AsyncGenerator<PlacedRow, void, void> {
  if (typeof source === 'string') return yield* readFiles(await filesAt(source), lines)
  if (typeof source === 'function') return yield* readIterable(iterableOf(source()))
  if (!Array.isArray(source)) {
    if (typeof source !== 'object' || source === null || !(Symbol.asyncIterator in source)) {
      throw new InvalidOptionError('source', 'a path, paths, rows or an async iterable of rows', source)
    }
    return yield* readIterable(source as AsyncIterable<Row>)
  }
  // `every` would leave out the holes of a list.
  if (source.length > 0 && Array.from(source).every((item) => typeof item === 'string')) {
    const paths = await Promise.all(source.map((path: string) => filesAt(path)))
    return yield* readFiles(paths.flat(), lines)
  }
  yield* readIterable(source as readonly Row[])
}

function iterableOf(rows: unknown): AsyncIterable<Row> | readonly Row[] {
  const given = rows as { [Symbol.asyncIterator]?: unknown; [Symbol.iterator]?: unknown } | null | undefined
  if (typeof given === 'object' && (given?.[Symbol.asyncIterator] ?? given?.[Symbol.iterator]))
    return rows as readonly Row[]
  throw new InvalidOptionError(
    'source',
    'a function that returns rows or an async iterable of rows',
    new Described(`one that returns ${typeof rows}`),
  )
}

async function* readFiles(
  paths: readonly string[],
  { numbers, onBadLine }: Lines,
): AsyncGenerator<PlacedRow, void, void> {
  for (const [index, path] of paths.entries()) {
    // With one file 'line-7', as jsonl() names it; with several 'file-2-line-7'.
    const prefix = paths.length === 1 ? '' : `file-${index + 1}-`
    const inFile = paths.length === 1 ? '' : ` of ${path}`
    if (extname(path) === '.parquet') {
      let row = 0
      for await (const value of parquetRows(path)) {
        row++
        yield {
          value,
          where: `${path}, row ${row}`,
          defaultId: `${prefix}row-${row}`,
          place: `row ${row}${inFile}`,
          mayHaveMore: true,
        }
      }
    } else {
      for await (const { text, line } of readLines(path, 'ERR_TASKS')) {
        if (text.trim() === '') continue
        const where = `${path}:${line}`
        const place = `line ${line}${inFile}`
        let value: unknown
        try {
          value = parseJsonLine(text, where, numbers)
        } catch (error) {
          if (!onBadLine) throw error
          onBadLine(where, jsonProblem((error as Error).cause))
          continue
        }
        yield { value, where, defaultId: `${prefix}line-${line}`, place }
      }
    }
  }
}

async function* readIterable(
  rows: AsyncIterable<unknown> | readonly unknown[],
): AsyncGenerator<PlacedRow, void, void> {
  let row = 0
  for await (const value of rows) {
    row++
    yield { value, where: `row ${row}`, defaultId: `row-${row}`, place: `row ${row}` }
  }
}

async function filesAt(path: string): Promise<string[]> {
  const found = await stat(path).catch((error: Error) => {
    throw new HdpoError('ERR_TASKS', `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  })
  if (!found.isDirectory()) return [checkExtension(path)]
  const names = (await readdir(path)).filter((name) => isDataFile(name)).sort()
  if (names.length === 0)
    throw new HdpoError('ERR_TASKS', `${path}: the folder has no .jsonl, .ndjson or .parquet file`)
  return names.map((name) => join(path, name))
}

function checkExtension(path: string): string {
  if (isDataFile(path)) return path
  throw new HdpoError('ERR_TASKS', `${path}: a data file ends in .jsonl, .ndjson or .parquet`)
}

function isDataFile(path: string): boolean {
  return [...lineExtensions, '.parquet'].includes(extname(path))
}
