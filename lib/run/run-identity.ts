// What makes the numbers of a run, compared by value: neither the order of keys nor a default that somebody wrote out is a difference.
import { isDeepStrictEqual } from 'node:util'
import { isRecord } from '../core/is-record.js'

/** Options by name, resolved. */
export type RunIdentity = Record<string, unknown>

export interface Difference {
  /** Its path: 'optimizer.beta1'. */
  name: string
  was: string
  is: string
}

/** `was` comes from a file; `is` is compared as it would read from one. Undefined where both are the same. */
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
