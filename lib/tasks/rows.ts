// Rows of a data set, one at a time: JSONL and Parquet files, folders of them, arrays, anything that can be iterated.

import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { reasonOf } from '../core/system-error.js'
import { parseJsonLine } from './json-line.js'
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

const lineExtensions = ['.jsonl', '.ndjson']

/** Once the signal is aborted, asking for the next row rejects with its reason. */
export async function* readRows(
  source: RowSource,
  signal?: AbortSignal,
): AsyncGenerator<PlacedRow, void, void> {
  for await (const row of rowsOf(source)) {
    signal?.throwIfAborted()
    yield row
  }
}

async function* rowsOf(source: RowSource): AsyncGenerator<PlacedRow, void, void> {
  if (typeof source === 'string') return yield* readFiles(await filesAt(source))
  if (typeof source === 'function') return yield* readIterable(source())
  if (!Array.isArray(source)) {
    if (typeof source !== 'object' || source === null || !(Symbol.asyncIterator in source)) {
      throw new InvalidOptionError('source', 'a path, paths, rows or an async iterable of rows', source)
    }
    return yield* readIterable(source as AsyncIterable<Row>)
  }
  if (source.length > 0 && source.every((item) => typeof item === 'string')) {
    return yield* readFiles((await Promise.all(source.map((path: string) => filesAt(path)))).flat())
  }
  yield* readIterable(source as readonly Row[])
}

async function* readFiles(paths: readonly string[]): AsyncGenerator<PlacedRow, void, void> {
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
      for await (const { text, line } of readLines(path)) {
        if (text.trim() === '') continue
        const where = `${path}:${line}`
        const place = `line ${line}${inFile}`
        yield { value: parseJsonLine(text, where), where, defaultId: `${prefix}line-${line}`, place }
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

/**
 * Lines end with \n alone; node:readline would also cut at U+2028, which JSON text may hold as it is. A line is decoded whole:
 * no character is cut by a chunk's end.
 */
export async function* readLines(
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<{ text: string; line: number }, void, void> {
  let rest: Buffer[] = []
  let line = 0
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      signal?.throwIfAborted()
      let start = 0
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        const text = Buffer.concat([...rest, chunk.subarray(start, end)]).toString('utf8')
        rest = []
        start = end + 1
        yield { text: ++line === 1 ? withoutByteOrderMark(text) : text, line }
      }
      rest.push(chunk.subarray(start))
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
    throw new HdpoError('ERR_TASKS', `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  }
  const text = Buffer.concat(rest).toString('utf8')
  if (text !== '') yield { text: ++line === 1 ? withoutByteOrderMark(text) : text, line }
}

function withoutByteOrderMark(text: string): string {
  return text.startsWith('\u{feff}') ? text.slice(1) : text
}
