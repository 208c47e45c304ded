// Exports a run's index as a file for other tools. Rows are streamed, so a run of any size takes the memory of one block.
import { createWriteStream, existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { onWarning, path } from '../../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../../core/options.js'
import { checkWritableFile } from '../../core/writable.js'
import { RunStore } from '../store/run-store.js'
import { writeParquet } from './parquet-rows.js'
import { type ExportRow, exportTables, tableRows } from './tables.js'
import { csvLines, jsonLines } from './text-rows.js'

export { exportTables }
export const exportFormats = ['parquet', 'csv', 'jsonl'] as const

export const exportShape = {
  /** The run folder. */
  run: path,
  /** The file's format. */
  format: z.enum(exportFormats),
  /** The table to export. */
  table: z.enum(exportTables),
  /** The file's path. Default: <table>.<format> in the run folder. */
  output: path.optional(),
  /** Called where the run's index is damaged and is made anew. Default: process.emitWarning. */
  onWarning,
}
const exportOptions = z.strictObject(exportShape)
export interface ExportOptions extends OptionsOf<typeof exportShape> {}

/** Resolves with the file's path and number of rows. Throws InvalidOptionError. */
export async function exportRun(options: ExportOptions): Promise<{ path: string; rows: number }> {
  const { run, format, table, output, onWarning } = readOptions(exportOptions, options, 'exportRun')
  const path = output ?? join(run, `${table}.${format}`)
  // Before the run is indexed, which may take minutes. Without a run there is a better error.
  if (output !== undefined || existsSync(run)) await checkWritableFile(path)
  const store = RunStore.open(run, { warn: onWarning, orInMemory: true, check: true })
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
    // The file appears only when it is complete.
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  } finally {
    store.close()
  }
  return { path, rows }
}
