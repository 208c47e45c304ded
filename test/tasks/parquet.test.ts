import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FileMetaData, parquetMetadata } from 'hyparquet'
import { type ColumnSource, parquetWriteFile } from 'hyparquet-writer'
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js'
import { writeMetadata } from 'hyparquet-writer/src/metadata.js'
import { afterAll, describe, expect, it } from 'vitest'
import { ExactNumber } from '../../lib/core/exact-number.js'
import { exactMatch } from '../../lib/rewards/exact-match.js'
import { openTasks } from '../../lib/tasks/open-tasks.js'
import { parquetRows } from '../../lib/tasks/parquet.js'

type Element = FileMetaData['schema'][number]

const folder = mkdtempSync(join(tmpdir(), 'hdpo-parquet-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function rowsOf(path: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = []
  for await (const row of parquetRows(path)) rows.push(row)
  return rows
}

/** The values of one column that is written with a schema of its own. */
async function valuesOf(element: Partial<Element>, data: unknown[], source: Partial<ColumnSource> = {}) {
  const filename = join(folder, 'values.parquet')
  const leaf = { name: 'value', repetition_type: 'OPTIONAL', ...element } as Element
  const schema: Element[] = [{ name: 'root', num_children: 1 }, leaf]
  await parquetWriteFile({
    filename,
    schema,
    columnData: [{ name: 'value', data, ...source } as ColumnSource],
  })
  return (await rowsOf(filename)).map(({ value }) => value)
}

describe('values', () => {
  const decimal = { converted_type: 'DECIMAL', precision: 9, scale: 2 } as const
  const unscaled = [115n, -435n, 1999n, 100n, -5n, 0n, null]
  const expected = [1.15, -4.35, 19.99, 1, -0.05, 0, undefined]

  it.each<[string, Partial<Element>]>([
    ['INT32', { ...decimal, type: 'INT32' }],
    ['INT64', { ...decimal, type: 'INT64' }],
    ['FIXED_LEN_BYTE_ARRAY', { ...decimal, type: 'FIXED_LEN_BYTE_ARRAY', type_length: 5 }],
    ['BYTE_ARRAY', { ...decimal, type: 'BYTE_ARRAY' }],
  ])('of DECIMAL in %s are exact', async (_type, element) => {
    expect(await valuesOf(element, unscaled)).toEqual(expected)
    const repeated = Array.from({ length: 300 }, (_, index) => unscaled[index % 7])
    const dictionary = await valuesOf(element, repeated, { encoding: 'RLE_DICTIONARY' })
    expect(dictionary).toEqual(Array.from({ length: 300 }, (_, index) => expected[index % 7]))
  })

  it('of DECIMAL with more digits than a number holds are text, or integers with their digits', async () => {
    const wide = { ...decimal, type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, precision: 38 } as const
    const digits = 1234567890123456789012345678901234567n
    expect(await valuesOf({ ...wide, scale: 10 }, [digits, -digits])).toEqual([
      '123456789012345678901234567.8901234567',
      '-123456789012345678901234567.8901234567',
    ])
    expect(await valuesOf({ ...wide, scale: 0 }, [digits, 5n])).toEqual([new ExactNumber(String(digits)), 5])
  })

  it('of dates and times are ISO 8601', async () => {
    const days = [new Date('1969-07-20'), new Date('2024-02-29'), null]
    const dates = ['1969-07-20', '2024-02-29', undefined]
    expect(await valuesOf({ type: 'INT32', converted_type: 'DATE' }, days)).toEqual(dates)
    expect(await valuesOf({ type: 'INT32', logical_type: { type: 'DATE' } }, [-165, 19782, null])).toEqual(
      dates,
    )
    const micros = { type: 'INT64', converted_type: 'TIMESTAMP_MICROS' } as const
    expect(await valuesOf(micros, [-1n, 1_500_000n, 1_500_001n])).toEqual([
      '1969-12-31T23:59:59.999999Z',
      '1970-01-01T00:00:01.500Z',
      '1970-01-01T00:00:01.500001Z',
    ])
    const nanos = { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'NANOS' } as const
    expect(await valuesOf({ type: 'INT64', logical_type: nanos }, [1n])).toEqual([
      '1970-01-01T00:00:00.000000001Z',
    ])
  })

  it('of floats are the shortest ones, and NaN is none', async () => {
    expect(await valuesOf({ type: 'FLOAT' }, [1.15, 3, Number.NaN, -1e-7])).toEqual([
      1.15,
      3,
      undefined,
      -1e-7,
    ])
    expect(await valuesOf({ type: 'DOUBLE' }, [0.1, Number.NaN, null])).toEqual([0.1, undefined, undefined])
  })

  it('of integers keep their digits', async () => {
    const values = [7n, 7301456228930019841n, -9007199254740993n]
    const kept = [7, new ExactNumber('7301456228930019841'), new ExactNumber('-9007199254740993')]
    expect(await valuesOf({ type: 'INT64' }, values)).toEqual(kept)
    expect(await valuesOf({ type: 'INT64', converted_type: 'UINT_64' }, [7301456228930019841n])).toEqual([
      kept[1],
    ])
  })

  it('of text are UTF-8, and bytes are base64', async () => {
    expect(await valuesOf({ type: 'BYTE_ARRAY' }, [Buffer.from('ü'), Buffer.from([0xff])])).toEqual([
      'ü',
      '/w==',
    ])
    const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const
    expect(await valuesOf(text, ['ü', null])).toEqual(['ü', undefined])
    const filename = join(folder, 'latin1.parquet')
    await parquetWriteFile({
      filename,
      columnData: [{ name: 'value', data: ['Zürich'], type: 'STRING' }],
      codec: 'UNCOMPRESSED',
      statistics: false,
    } as never)
    const bytes = readFileSync(filename)
    const at = bytes.indexOf('ü')
    bytes[at] = 0xfc
    bytes[at + 1] = 0x72
    writeFileSync(filename, bytes)
    await expect(rowsOf(filename)).rejects.toThrow('a text is not UTF-8')
    expect(await valuesOf({ type: 'BYTE_ARRAY', converted_type: 'JSON' }, [{ a: 1 }])).toEqual([{ a: 1 }])
  })

  it('within lists and structs are read the same', async () => {
    const filename = join(folder, 'nested.parquet')
    const schema: Element[] = [
      { name: 'root', num_children: 2 },
      { name: 'prices', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      {
        name: 'element',
        type: 'INT64',
        repetition_type: 'OPTIONAL',
        converted_type: 'DECIMAL',
        scale: 2,
        precision: 18,
      },
      { name: 'when', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'day', type: 'INT32', repetition_type: 'OPTIONAL', converted_type: 'DATE' },
      { name: 'score', type: 'DOUBLE', repetition_type: 'OPTIONAL' },
    ]
    const days = [new Date('1969-07-20'), null, new Date('2000-01-01')]
    await parquetWriteFile({
      filename,
      schema,
      columnData: [
        { name: 'prices', data: [[115n, null, 200n], null, []] },
        {
          name: 'when',
          data: days.map((day, index) =>
            index === 1 ? null : { day, score: index === 0 ? 0.5 : Number.NaN },
          ),
        },
      ],
    })
    expect(await rowsOf(filename)).toEqual([
      { prices: [1.15, null, 2], when: { day: '1969-07-20', score: 0.5 } },
      {},
      { prices: [], when: { day: '2000-01-01', score: null } },
    ])
  })
})

it('reads columns of structs and lists over many slices', async () => {
  const filename = join(folder, 'many.parquet')
  const schema: Element[] = [
    { name: 'root', num_children: 2 },
    { name: 'pair', repetition_type: 'REQUIRED', num_children: 1 },
    { name: 'at', type: 'INT32', repetition_type: 'REQUIRED' },
    { name: 'list', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'INT32', repetition_type: 'OPTIONAL' },
  ]
  const places = Array.from({ length: 3000 }, (_, at) => at)
  const columnData = [
    { name: 'pair', data: places.map((at) => ({ at })) },
    { name: 'list', data: places.map((at) => (at % 3 === 0 ? [] : [at, at])) },
  ]
  await parquetWriteFile({ filename, schema, columnData, pageSize: 2048, rowGroupSize: 2900 })
  expect(await rowsOf(filename)).toEqual(
    places.map((at) => ({ pair: { at }, list: at % 3 === 0 ? [] : [at, at] })),
  )
})

describe('tasks', () => {
  const question = { name: 'question', data: ['a', 'b'], type: 'STRING' } as const

  async function load(...columnData: object[]) {
    const filename = join(folder, 'tasks.parquet')
    await parquetWriteFile({ filename, columnData: [question, ...columnData] as ColumnSource[] })
    const tasks = await openTasks(filename)
    const all = await Promise.all([0, 1].map((index) => tasks.at(index)))
    await tasks.close()
    return all
  }

  it('have no value where a column is null', async () => {
    const answer = { name: 'answer', data: ['x', 'y'], type: 'STRING' }
    const nothing = (name: string) => ({ name, data: [null, null], type: 'STRING', nullable: true })
    const tasks = await load(
      answer,
      nothing('prompt'),
      nothing('id'),
      nothing('metadata'),
      nothing('messages'),
    )
    expect(tasks).toEqual([
      { id: 'row-1', messages: [{ role: 'user', content: 'a' }], answer: 'x' },
      { id: 'row-2', messages: [{ role: 'user', content: 'b' }], answer: 'y' },
    ])
  })

  it('without an answer are refused by their row', async () => {
    const message = 'tasks.parquet, row 2: "answer" is missing'
    await expect(load({ name: 'answer', data: ['x', null], type: 'STRING' })).rejects.toThrow(message)
    await expect(load({ name: 'answer', data: [1.5, Number.NaN], type: 'DOUBLE' })).rejects.toThrow(message)
    await expect(
      load({ name: 'answer', data: [1.5, Number.NEGATIVE_INFINITY], type: 'DOUBLE' }),
    ).rejects.toThrow('row 2: answer: must be a finite number, got -Infinity')
  })

  it('have ids and answers to the digit', async () => {
    const big = [7301456228930019841n, 7301456228930019842n]
    const tasks = await load(
      { name: 'answer', data: big, type: 'INT64' },
      { name: 'id', data: big, type: 'INT64' },
    )
    expect(tasks).toMatchObject(big.map((value) => ({ id: String(value), answer: String(value) })))
    const grade = exactMatch()
    expect(await grade({ finalAnswer: '7301456228930019841' } as never, tasks[0] as never)).toBe(true)
    expect(await grade({ finalAnswer: '7301456228930019840' } as never, tasks[0] as never)).toBe(false)
  })
})

describe('a footer that lies', () => {
  async function lying(change: (metadata: FileMetaData) => void, options: object = {}): Promise<string> {
    const filename = join(folder, 'lying.parquet')
    const data = Array.from({ length: 5000 }, (_, index) => `question ${index}`)
    await parquetWriteFile({
      filename,
      columnData: [
        { name: 'question', data, type: 'STRING' },
        { name: 'answer', data, type: 'STRING', nullable: true },
      ],
      pageSize: 4096,
      rowGroupSize: 10_000,
      ...options,
    })
    const bytes = readFileSync(filename)
    const metadata = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
    change(metadata)
    const footer = new ByteWriter()
    writeMetadata(footer, metadata)
    const length = metadata.metadata_length
    const body = bytes.subarray(0, bytes.length - 8 - length)
    writeFileSync(filename, Buffer.concat([body, Buffer.from(footer.getBuffer()), Buffer.from('PAR1')]))
    return filename
  }

  const group = (metadata: FileMetaData) => metadata.row_groups[0] as FileMetaData['row_groups'][number]
  const column = (metadata: FileMetaData) => group(metadata).columns[0]?.meta_data as { num_values: bigint }
  const setRows = (rows: bigint) => (metadata: FileMetaData) => {
    metadata.num_rows = rows
    group(metadata).num_rows = rows
  }
  const setAll = (rows: bigint) => (metadata: FileMetaData) => {
    setRows(rows)(metadata)
    for (const { meta_data: meta } of group(metadata).columns)
      (meta as { num_values: bigint }).num_values = rows
  }

  it('of rows that hold lists is refused as well', async () => {
    const schema: Element[] = [
      { name: 'root', num_children: 1 },
      { name: 'answer', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'INT32', repetition_type: 'OPTIONAL' },
    ]
    const columnData = [{ name: 'answer', data: [[1, 2, 3], null, []] }]
    const lists = { schema, columnData }
    expect(await rowsOf(await lying(() => {}, lists))).toEqual([{ answer: [1, 2, 3] }, {}, { answer: [] }])
    for (const rows of [0n, 2n, 4n, 5n, 2n ** 40n]) {
      await expect(rowsOf(await lying(setRows(rows), lists))).rejects.toThrow(/row group.*column "answer/)
    }
  })

  it('is none where nothing was changed', async () => {
    expect(await rowsOf(await lying(() => {}))).toHaveLength(5000)
  })

  it.each<[string, (metadata: FileMetaData) => void, RegExp]>([
    [
      'of all rows',
      (metadata) => Object.assign(metadata, { num_rows: 2n ** 40n }),
      /its footer says 1099511627776 rows, its 1 row groups 5000/,
    ],
    ['of more rows', setRows(5001n), /row group 1 says 5001 rows, its column "question" has 5000 values/],
    ['of 2^40 rows', setRows(2n ** 40n), /says 1099511627776 rows/],
    ['of 2^62 rows', setRows(2n ** 62n), /says 4611686018427387904 rows/],
    ['of fewer rows', setRows(4999n), /says 4999 rows, its column "question" has 5000 values/],
    ['of no rows', setRows(0n), /says 0 rows/],
    ['of less than none', setRows(-1n), /says -1 rows/],
    ['of rows and values, more', setAll(2n ** 40n), /has 5000 values where 1099511627776 are said/],
    ['of rows and values, fewer', setAll(100n), /has 5000 values where 100 are said/],
    [
      'of the values of one column',
      (metadata) => Object.assign(column(metadata), { num_values: 3n }),
      /column "question" has 3 values/,
    ],
    [
      'of a place',
      (metadata) => Object.assign(column(metadata), { total_compressed_size: 2n ** 40n }),
      /lie outside the file/,
    ],
  ])('%s is refused by name, at once', async (_name, change, message) => {
    const path = await lying(change)
    const began = performance.now()
    await expect(rowsOf(path)).rejects.toThrow(message)
    await expect(rowsOf(path)).rejects.toMatchObject({ code: 'ERR_TASKS' })
    expect(performance.now() - began).toBeLessThan(5000)
  })
})
