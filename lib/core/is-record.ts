import { ExactNumber } from './exact-number.js'

/** Whether a value is an object with named fields, as in JSON: neither an array nor null, nor a number that is kept as its text. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber)
  )
}
