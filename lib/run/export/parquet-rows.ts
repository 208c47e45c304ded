import { fileWriter, parquetWriteRows } from 'hyparquet-writer'
import type { Column, ExportRow } from './tables.js'

// Rows that are held in memory at once.
const rowGroupSize = 50_000

export async function writeParquet(
  path: string,
  columns: readonly Column[],
  rows: Iterable<ExportRow>,
): Promise<void> {
  await parquetWriteRows({
    writer: fileWriter(path),
    columns: columns.map(({ name, type }) => ({ name, type })),
    // Without rows the schema cannot be inferred, so it is given.
    schema: [{ name: 'root', num_children: columns.length }, ...columns.map(schemaElement)],
    rows,
    rowGroupSize,
  })
}

function schemaElement({ name, type }: Column) {
  const nullable = { name, repetition_type: 'OPTIONAL' } as const
  return type === 'STRING'
    ? ({ ...nullable, type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const)
    : ({ ...nullable, type } as const)
}
