// Writes rows as CSV (RFC 4180) and JSON lines.
import { csvField } from '../../core/csv-field.js'
import type { Column, ExportRow } from './tables.js'

export function* csvLines(columns: readonly Column[], rows: Iterable<ExportRow>): Generator<string> {
  yield `${columns.map(({ name }) => csvField(name)).join(',')}\r\n`
  for (const row of rows) yield `${columns.map(({ name }) => csvField(row[name])).join(',')}\r\n`
}

export function* jsonLines(rows: Iterable<ExportRow>): Generator<string> {
  for (const row of rows) yield `${JSON.stringify(row)}\n`
}
