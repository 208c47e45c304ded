// Rows of a Parquet file (the format of Hugging Face data sets), with one slice of a row group in memory at a time.

import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { HdpoError } from '../core/errors.js'
import { reasonOf } from '../core/system-error.js'

// hyparquet decodes the pages that a slice touches; larger slices are no faster.
const rowsAtOnce = 1024

export async function* parquetRows(path: string): AsyncGenerator<Record<string, unknown>, void, void> {
  try {
    const file = await asyncBufferFromFile(path)
    const metadata = await parquetMetadataAsync(file)
    let groupStart = 0
    for (const group of metadata.row_groups) {
      const groupEnd = groupStart + Number(group.num_rows)
      for (let rowStart = groupStart; rowStart < groupEnd; rowStart += rowsAtOnce) {
        const rowEnd = Math.min(rowStart + rowsAtOnce, groupEnd)
        const rows = await parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors })
        for (const row of rows) yield plain(row) as Record<string, unknown>
      }
      groupStart = groupEnd
    }
  } catch (error) {
    throw new HdpoError('ERR_TASKS', `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  }
}

/** The value in a form that JSON can hold, because tasks are written to run folders. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
      ? Number(value)
      : String(value)
  }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain)
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}
