// What a Parquet file says of its rows must agree with its pages: a footer that says more would have rows made of nothing, or never end.
import type { AsyncBuffer, FileMetaData } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { getMaxRepetitionLevel, getSchemaPath } from 'hyparquet/src/schema.js'

type RowGroup = FileMetaData['row_groups'][number]
type ColumnMetaData = NonNullable<RowGroup['columns'][number]['meta_data']>

/** Throws an Error that says what does not agree. */
export function checkRowCounts({ num_rows: rows, row_groups: groups }: FileMetaData): void {
  const inGroups = groups.reduce((sum, group) => sum + group.num_rows, 0n)
  if (rows !== inGroups) {
    throw new Error(`its footer says ${rows} rows, its ${groups.length} row groups ${inGroups}`)
  }
}

/** Reads the headers of a row group's pages, not the pages. `at`: its index, for errors. */
export async function checkRowGroup(
  file: AsyncBuffer,
  { schema, row_groups: groups }: FileMetaData,
  at: number,
): Promise<void> {
  const group = groups[at] as RowGroup
  for (const { meta_data: column } of group.columns) {
    if (!column) throw new Error(`row group ${at + 1} has a column without metadata`)
    const name = column.path_in_schema.join('.')
    const isFlat = getMaxRepetitionLevel(getSchemaPath(schema, column.path_in_schema)) === 0
    // A list of a row has a value at least: an empty one counts as one.
    const fits = isFlat
      ? column.num_values === group.num_rows
      : column.num_values >= group.num_rows && (group.num_rows > 0n || column.num_values === 0n)
    const values = fits && group.num_rows >= 0n ? await countValues(file, column) : column.num_values
    if (fits && values === column.num_values) continue
    throw new Error(
      `row group ${at + 1} says ${group.num_rows} rows, its column "${name}" has ${values} values` +
        (fits ? ` where ${column.num_values} are said` : ''),
    )
  }
}

/** The values that the headers of a column's pages name, nulls among them. */
async function countValues(file: AsyncBuffer, column: ColumnMetaData): Promise<bigint> {
  const { data_page_offset: data, dictionary_page_offset: dictionary } = column
  const start = Number(dictionary && dictionary < data ? dictionary : data)
  const end = start + Number(column.total_compressed_size)
  if (!(start >= 0 && end >= start && end <= file.byteLength)) {
    throw new Error(`column "${column.path_in_schema.join('.')}" is said to lie outside the file`)
  }
  const reader = { view: new DataView(await file.slice(start, end)), offset: 0 }
  let values = 0
  while (reader.offset < reader.view.byteLength - 1) {
    const header = parquetHeader(reader)
    const size = header.compressed_page_size
    if (!(size >= 0))
      throw new Error(`column "${column.path_in_schema.join('.')}" has a page of ${size} bytes`)
    values += header.data_page_header?.num_values ?? header.data_page_header_v2?.num_values ?? 0
    reader.offset += size
  }
  return BigInt(values)
}
