// Rows of a Parquet file (the format of Hugging Face data sets), with one slice of a row group in memory at a time.

import {
  type AsyncBuffer,
  type AsyncRowGroup,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetSchema,
} from 'hyparquet'
import { parquetReadAsync } from 'hyparquet/src/read.js'
import { assembleAsync, asyncGroupToRows } from 'hyparquet/src/rowgroup.js'
import { compressors } from 'hyparquet-compressors'
import { HdpoError } from '../core/errors.js'
import { reasonOf } from '../core/system-error.js'
import { checkRowCounts, checkRowGroup } from './parquet-footer.js'
import { parsers, takeValueReaders, type ValueReader } from './parquet-values.js'

// The pages that a slice touches are decoded; larger slices are no faster.
const rowsAtOnce = 1024

interface ParquetFile {
  file: AsyncBuffer
  metadata: FileMetaData
  /** By the path of a leaf. */
  readers: ReadonlyMap<string, ValueReader>
}

/** A column without a value (null, or NaN) is left out of its row. Integers that no number holds are ExactNumbers. */
export async function* parquetRows(path: string): AsyncGenerator<Record<string, unknown>, void, void> {
  try {
    const file = await asyncBufferFromFile(path)
    const metadata = await parquetMetadataAsync(file)
    checkRowCounts(metadata)
    const parquet = { file, metadata, readers: takeValueReaders(metadata.schema) }
    let groupStart = 0
    for (const [index, group] of metadata.row_groups.entries()) {
      await checkRowGroup(file, metadata, index)
      const groupEnd = groupStart + Number(group.num_rows)
      for (let start = groupStart; start < groupEnd; start += rowsAtOnce) {
        yield* await readSlice(parquet, start, Math.min(start + rowsAtOnce, groupEnd))
      }
      groupStart = groupEnd
    }
  } catch (error) {
    throw new HdpoError('ERR_TASKS', `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Rows of one row group. */
async function readSlice(
  { file, metadata, readers }: ParquetFile,
  rowStart: number,
  rowEnd: number,
): Promise<Record<string, unknown>[]> {
  const [group] = parquetReadAsync({ file, metadata, rowStart, rowEnd, compressors, utf8: false, parsers })
  if (!group) return []
  const asyncColumns = group.asyncColumns.map(({ pathInSchema, data }) => ({
    pathInSchema,
    data: data.then(({ data: pages, skipped }) => {
      const read = readers.get(pathInSchema.join('.')) as ValueReader
      checkLength(
        group,
        pathInSchema,
        pages.reduce((sum, page) => sum + page.length, skipped),
      )
      return { skipped, data: pages.map((page) => readPage(page, read)) }
    }),
  }))
  const columns = assembleAsync({ ...group, asyncColumns }, parquetSchema(metadata))
  const start = rowStart - group.groupStart
  const end = rowEnd - group.groupStart
  const rows = await asyncGroupToRows(columns, start, end, undefined, 'object')
  return rows.map(withoutNulls)
}

/** Columns within lists are always read to their end. */
function checkLength(
  { groupRows, selectEnd = groupRows }: AsyncRowGroup,
  path: string[],
  rows: number,
): void {
  if (path.length === 1 ? rows >= selectEnd : rows === groupRows) return
  throw new Error(`a row group says ${groupRows} rows, its column "${path.join('.')}" has ${rows}`)
}

function readPage(page: ArrayLike<unknown>, read: ValueReader): unknown[] {
  return Array.from(page, (value) => readNested(value, read))
}

/** A column within lists has its values in lists. */
function readNested(value: unknown, read: ValueReader): unknown {
  return Array.isArray(value) ? value.map((inner) => readNested(inner, read)) : read(value)
}

function withoutNulls(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null && value !== undefined))
}
