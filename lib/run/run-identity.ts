// The options that determine a run's numbers, compared by value: neither the order of keys nor a written-out default is a
// difference.
import { isDeepStrictEqual } from 'node:util'
import { isRecord } from '../core/is-record.js'

/** Resolved options by name. */
export type RunIdentity = Record<string, unknown>

interface Difference {
  /** The option's path: 'optimizer.beta1'. */
  name: string
  was: string
  is: string
}

/** The first option that differs, undefined where none does. `was` was read from a file, so `is` is compared in its JSON form. */
export function firstDifference(was: RunIdentity, is: RunIdentity): Difference | undefined {
  return differenceOf(was, JSON.parse(JSON.stringify(is)), '')
}

function differenceOf(was: unknown, is: unknown, path: string): Difference | undefined {
  if (isDeepStrictEqual(was, is)) return undefined
  if (!isRecord(was) || !isRecord(is)) return { name: path, was: show(was), is: show(is) }
  for (const key of new Set([...Object.keys(is), ...Object.keys(was)])) {
    const found = differenceOf(was[key], is[key], path === '' ? key : `${path}.${key}`)
    if (found) return found
  }
  return undefined
}

function show(value: unknown): string {
  return value === undefined ? 'not there' : JSON.stringify(value)
}
