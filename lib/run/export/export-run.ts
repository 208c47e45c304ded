// A run's index as a file that other tools read. Rows are streamed: a run of any size takes the memory of one block.
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { text } from '../../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../../core/options.js'
import { RunStore } from '../store/run-store.js'
import { writeParquet } from './parquet-rows.js'
import { type ExportRow, exportTables, tableRows } from './tables.js'
import { csvLines, jsonLines } from './text-rows.js'

export { exportTables }
export const exportFormats = ['parquet', 'csv', 'jsonl'] as const

export const exportShape = {
  /** The run folder. */
  run: text,
  /** The kind of file. */
  format: z.enum(exportFormats),
  /** What is exported. */
  table: z.enum(exportTables),
  /** The file. Default: <table>.<format> in the run folder. */
  output: text.optional(),
}
const exportOptions = z.strictObject(exportShape)
export interface ExportOptions extends OptionsOf<typeof exportShape> {}

/** Throws InvalidOptionError. */
export async function exportRun(options: ExportOptions): Promise<{ path: string; rows: number }> {
  const { run, format, table, output } = readOptions(exportOptions, options, 'exportRun')
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
