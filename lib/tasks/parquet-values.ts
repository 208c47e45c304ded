// The values of a Parquet file as JSON holds them, each as a person would write it: a DECIMAL of 1.15 is 1.15, a DATE a day.
import { isUtf8 } from 'node:buffer'
import type { FileMetaData, ParquetParsers } from 'hyparquet'
import { parseJsonKeeping } from '../core/exact-json.js'
import { ExactNumber } from '../core/exact-number.js'

type SchemaElement = FileMetaData['schema'][number]

/** How the values of a column are read; made from what its schema says of it. */
export type ValueReader = (value: unknown) => unknown

export const parsers: Partial<ParquetParsers> = {
  dateFromDays: (days) => new Date(days * 86_400_000).toISOString().slice(0, 10),
  timestampFromMilliseconds: (milliseconds) => timestamp(milliseconds, 1000n),
  timestampFromMicroseconds: (microseconds) => timestamp(microseconds, 1_000_000n),
  timestampFromNanoseconds: (nanoseconds) => timestamp(nanoseconds, 1_000_000_000n),
  stringFromBytes: (bytes) => bytes && textOf(bytes),
  jsonFromBytes: (bytes) => bytes && parseJsonKeeping(textOf(bytes), 'unheld'),
}

/**
 * Takes from the schema what the reader of values does itself, because the Parquet library would round it, and gives the readers of
 * the leaves by their paths, joined by dots.
 */
export function takeValueReaders(schema: readonly SchemaElement[]): Map<string, ValueReader> {
  const readers = new Map<string, ValueReader>()
  let at = 1
  const visit = (path: readonly string[]): void => {
    const element = schema[at++] as SchemaElement
    const inner = [...path, element.name]
    const children = element.num_children ?? 0
    if (children === 0) readers.set(inner.join('.'), takeReader(element))
    for (let child = 0; child < children; child++) visit(inner)
  }
  while (at < schema.length) visit([])
  return readers
}

function takeReader(element: SchemaElement): ValueReader {
  const { type, converted_type: converted, logical_type: logical } = element
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    const scale = element.scale ?? (logical?.type === 'DECIMAL' ? logical.scale : 0)
    delete element.converted_type
    delete element.logical_type
    return (value) => decimal(value, scale)
  }
  // Newer writers may give the logical type alone.
  if (converted === undefined && (logical?.type === 'DATE' || logical?.type === 'JSON')) {
    element.converted_type = logical.type
  }
  if (type === 'FLOAT')
    return (value) => (typeof value === 'number' ? shortestFloat(value) : plainValue(value))
  const isAnnotated = converted !== undefined || logical !== undefined
  if (type === 'BYTE_ARRAY' && !isAnnotated) return (value) => (isBytes(value) ? textOrBase64(value) : value)
  return plainValue
}

/** Integers that no number holds keep their digits; NaN, with which pandas marks a missing value, is no value. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : new ExactNumber(String(value))
  }
  if (Number.isNaN(value)) return null
  return isBytes(value) ? Buffer.from(value).toString('base64') : value
}

/** A number where it has the decimal's value, else the decimal's text. */
function decimal(unscaled: unknown, scale: number): unknown {
  if (unscaled === null || unscaled === undefined) return unscaled
  const integer = isBytes(unscaled) ? signedInteger(unscaled) : BigInt(unscaled as number | bigint)
  const digits = String(integer < 0n ? -integer : integer).padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  const text = `${integer < 0n ? '-' : ''}${whole}${scale > 0 ? `.${digits.slice(-scale)}` : ''}`
  const shortest = scale > 0 ? text.replace(/\.?0+$/, '') : text
  if (String(Number(shortest)) === shortest && Math.abs(Number(shortest)) <= Number.MAX_SAFE_INTEGER) {
    return Number(shortest)
  }
  return scale > 0 ? text : new ExactNumber(text)
}

/** Big-endian, in two's complement. */
function signedInteger(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes).toString('hex')}`))
}

/** The shortest decimal that is this 32-bit float: 1.15, not 1.149999976158142. */
function shortestFloat(value: number): number | null {
  if (Number.isNaN(value)) return null
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.fround(rounded) === value) return rounded
  }
  return value
}

/** ISO 8601 in UTC, with milliseconds, and with more digits where there are more. */
function timestamp(value: bigint | number, perSecond: bigint): string {
  const ticks = BigInt(value)
  const perMillisecond = perSecond / 1000n
  const rest = ((ticks % perMillisecond) + perMillisecond) % perMillisecond
  const text = new Date(Number((ticks - rest) / perMillisecond)).toISOString()
  if (rest === 0n) return text
  return `${text.slice(0, -1)}${String(rest).padStart(String(perMillisecond).length - 1, '0')}Z`
}

function textOrBase64(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes)
  return buffer.toString(isUtf8(buffer) ? 'utf8' : 'base64')
}

function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes)
  if (!isUtf8(buffer))
    throw new Error(`a text is not UTF-8: ${JSON.stringify(buffer.toString('latin1').slice(0, 40))}`)
  return buffer.toString('utf8')
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array
}
