// Checks the arrays that callers of the kernels pass, and makes them the typed arrays that the native side copies. A typed array of
// the right kind is passed on as it is, anything else is converted.
import { Described, InvalidOptionError } from '../../core/option-error.js'

/** A typed array or a plain array of numbers. */
export type Numbers = ArrayLike<number>
/** 0 or 1, or false or true. */
export type Flags = ArrayLike<number | boolean>

/** The length that an array must have, and the name of the input that decides it. */
interface Length {
  count: number
  of: string
}

export function toFloats(name: string, value: unknown, length?: Length): Float32Array {
  const given = checkArray(name, value, length)
  if (given instanceof Float32Array && keepsContent(given)) return given
  return Float32Array.from(numbersOf(name, given))
}

export function toFiniteFloats(name: string, value: unknown, length?: Length): Float32Array {
  const floats = toFloats(name, value, length)
  // Loops rather than findIndex: a million rollouts are checked in a millisecond instead of ten.
  for (let index = 0; index < floats.length; index++) {
    if (!Number.isFinite(floats[index])) {
      throw wrong(name, index, value, 'a finite number in the range of float32')
    }
  }
  return floats
}

export function toCosts(name: string, value: unknown, length?: Length): Float32Array {
  const costs = toFiniteFloats(name, value, length)
  const negative = costs.findIndex((cost) => cost < 0)
  if (negative >= 0) throw wrong(name, negative, value, 'at least 0')
  return costs
}

/** Integers from `low` to 2^31 - 1. */
export function toIntegers(name: string, value: unknown, low: number, length?: Length): Int32Array {
  const given = checkArray(name, value, length)
  if (given instanceof Int32Array && keepsContent(given)) {
    for (let index = 0; index < given.length; index++) {
      if ((given[index] as number) < low) throw wrong(name, index, value, integersFrom(low))
    }
    return given
  }
  const numbers = numbersOf(name, given)
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index] as number
    if (!Number.isInteger(number) || number < low || number > highestInteger) {
      throw wrong(name, index, value, integersFrom(low))
    }
  }
  return Int32Array.from(numbers)
}

export function toFlags(name: string, value: unknown, length?: Length): Uint8Array {
  const given = checkArray(name, value, length)
  if (given instanceof Uint8Array && keepsContent(given)) {
    for (let index = 0; index < given.length; index++) {
      if ((given[index] as number) > 1) throw wrong(name, index, value, '0 or 1')
    }
    return given
  }
  const flags = new Uint8Array(given.length)
  for (let index = 0; index < given.length; index++) {
    const flag = given[index]
    if (typeof flag !== 'number' && typeof flag !== 'boolean')
      throw wrong(name, index, given, '0, 1 or a boolean')
    if (flag !== true && flag !== false && flag !== 0 && flag !== 1) throw wrong(name, index, value, '0 or 1')
    flags[index] = Number(flag)
  }
  return flags
}

export const lowestInteger = -(2 ** 31)
const highestInteger = 2 ** 31 - 1

function integersFrom(low: number): string {
  return `an integer from ${low} to ${highestInteger}`
}

function checkArray(name: string, value: unknown, length?: Length): ArrayLike<unknown> {
  const isArray = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
  if (!isArray || value instanceof BigInt64Array || value instanceof BigUint64Array) {
    throw new InvalidOptionError(name, 'a typed array or an array of numbers', value)
  }
  const given = value as ArrayLike<unknown>
  if (length && given.length !== length.count) {
    throw new InvalidOptionError(
      name,
      `of ${length.count} elements, ${length.of}`,
      new Described(`${given.length} elements`),
    )
  }
  return given
}

/** Native code takes its copy after the checks here: memory that other threads write meanwhile, or that may shrink, is copied first. */
function keepsContent({ buffer }: { buffer: ArrayBufferLike }): boolean {
  return buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable
}

function numbersOf(name: string, given: ArrayLike<unknown>): ArrayLike<number> {
  if (!Array.isArray(given)) return given as ArrayLike<number>
  for (let index = 0; index < given.length; index++) {
    if (typeof given[index] !== 'number') throw wrong(name, index, given, 'a number')
  }
  return given
}

function wrong(name: string, index: number, values: unknown, allowed: string): InvalidOptionError {
  return new InvalidOptionError(`${name}[${index}]`, allowed, (values as ArrayLike<unknown>)[index])
}
