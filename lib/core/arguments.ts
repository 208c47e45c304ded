// Arguments that stand alone, beside options: checked by the names that they have in the documentation.

import { isRecord } from './is-record.js'
import { InvalidOptionError } from './option-error.js'

/** A list whose elements are objects; `what` is one of them: 'a rollout'. */
export function checkObjects(given: unknown, name: string, what: string): void {
  if (!Array.isArray(given)) throw new InvalidOptionError(name, `a list, each ${what}`, given)
  const wrong = given.findIndex((each) => !isRecord(each))
  if (wrong >= 0) throw new InvalidOptionError(`${name}[${wrong}]`, what, given[wrong])
}

/** `parts`: what the object must have, by name, and what typeof says of it; 'list' for an array. */
export function checkObject(
  given: unknown,
  name: string,
  what: string,
  parts: Readonly<Record<string, 'list' | 'string' | 'number' | 'function' | 'object'>>,
): void {
  const has = ([part, type]: [string, string]): boolean => {
    const value = (given as Record<string, unknown>)[part]
    return type === 'list' ? Array.isArray(value) : typeof value === type && value !== null
  }
  if (typeof given === 'object' && given !== null && Object.entries(parts).every(has)) return
  throw new InvalidOptionError(name, what, given)
}

/** Whoever passes the controller in place of its signal is told so before anything waits for it. */
export function checkSignal(given: unknown, name = 'signal'): void {
  if (given === undefined || given instanceof AbortSignal) return
  throw new InvalidOptionError(name, 'an AbortSignal', given)
}
