// OTLP's attribute lists, [{ key, value: { stringValue } }], as plain values.
import { parseJsonKeeping } from '../core/exact-json.js'
import { ExactNumber } from '../core/exact-number.js'
import { isRecord } from '../core/is-record.js'

export type Attributes = Record<string, unknown>

export function readAttributes(value: unknown): Attributes {
  // Some exporters write a plain mapping instead of the list.
  if (isRecord(value)) return value
  if (!Array.isArray(value)) return {}
  return Object.fromEntries(
    value.filter(isRecord).map(({ key, value: inner }) => [String(key), readValue(inner)]),
  )
}

function readValue(value: unknown): unknown {
  if (!isRecord(value)) return value
  const [kind] = Object.keys(value)
  const inner = kind === undefined ? undefined : value[kind]
  switch (kind) {
    case 'stringValue':
    case 'boolValue':
    case 'doubleValue':
      return inner
    case 'intValue':
      // OTLP writes 64-bit integers as text.
      return Number.isSafeInteger(Number(inner)) ? Number(inner) : new ExactNumber(String(inner))
    case 'arrayValue':
      return (isRecord(inner) && Array.isArray(inner.values) ? inner.values : []).map(readValue)
    case 'kvlistValue':
      return readAttributes(isRecord(inner) ? (inner.values ?? []) : [])
    default:
      return undefined
  }
}

/** The value of an attribute that holds JSON text, or structured data if the exporter supports it. */
export function parseIfText(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return parseJsonKeeping(value, 'text')
  } catch {
    // The attribute holds plain text.
    return value
  }
}
