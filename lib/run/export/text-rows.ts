// Writes rows as CSV (RFC 4180) and JSON lines.
import type { Column, ExportRow, ExportValue } from './tables.js'

export function* csvLines(columns: readonly Column[], rows: Iterable<ExportRow>): Generator<string> {
  yield `${columns.map(({ name }) => field(name)).join(',')}\r\n`
  for (const row of rows) yield `${columns.map(({ name }) => field(row[name] ?? null)).join(',')}\r\n`
}

export function* jsonLines(rows: Iterable<ExportRow>): Generator<string> {
  for (const row of rows) yield `${JSON.stringify(row)}\n`
}

/** null becomes an empty field, an empty text becomes "". Other text is quoted where needed. */
function field(value: ExportValue): string {
  if (value === null) return ''
  const text = String(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
