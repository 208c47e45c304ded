// A run's index as a file that other tools read. Rows are streamed: a run of any size takes the memory of one block.
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { RunStore } from '../store/run-store.js'
import { writeParquet } from './parquet-rows.js'
import { type ExportRow, type ExportTable, exportTables, tableRows } from './tables.js'
import { csvLines, jsonLines } from './text-rows.js'

export { exportTables }
export const exportFormats = ['parquet', 'csv', 'jsonl'] as const

export interface ExportOptions {
  /** Run folder. */
  run: string
  format: (typeof exportFormats)[number]
  table: ExportTable
  /** Default: <table>.<format> in the run folder. */
  output?: string
}

export async function exportRun({
  run,
  format,
  table,
  output,
}: ExportOptions): Promise<{ path: string; rows: number }> {
  const store = RunStore.open(run)
  const path = output ?? join(run, `${table}.${format}`)
  const partial = `${path}.partial`
  let rows = 0
  function* counted(source: Iterable<ExportRow>) {
    for (const row of source) {
      rows++
      yield row
    }
  }
  try {
    store.updateAll()
    const { columns, rows: source } = tableRows(store, table)
    if (format === 'parquet') await writeParquet(partial, columns, counted(source))
    else {
      const lines = format === 'csv' ? csvLines(columns, counted(source)) : jsonLines(counted(source))
      await pipeline(Readable.from(lines), createWriteStream(partial))
    }
    // Whole, or not there.
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  } finally {
    store.close()
  }
  return { path, rows }
}
