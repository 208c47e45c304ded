// Kinds of options that many rooms have.
import { z } from 'zod'

/** 1, 2, 3 ... */
export const count = z.int().min(1)
export const positive = z.number().gt(0)
export const notNegative = z.number().min(0)
/** 0 to 1. */
export const share = z.number().min(0).max(1)
export const seed = z.int().min(0)
/** The largest number that the native core, which computes in float32, takes as an option. */
export const largestFloat = 3.4028234663852886e38
export const text = z.string().min(1)

// setTimeout takes no more.
const longestTimeout = 2 ** 31 - 1
export const milliseconds = z.number().gt(0).max(longestTimeout)
export const delay = z.number().min(0).max(longestTimeout)
export const port = z.int().min(0).max(65_535)

/** A string that is never shown. */
export const secret = z.string().min(1).meta({ secret: true })

/** Something that zod has no type for, taken as it is. `expected`: in words, as the end of "must be ...". */
export function kind<Value>(expected: string, isOne: (value: unknown) => boolean): z.ZodCustom<Value, Value> {
  return z.custom<Value>(isOne, expected).meta({ expected })
}

/** A function, typed as what it is used as. */
export function callback<Callback>(): z.ZodCustom<Callback, Callback> {
  return kind<Callback>('a function', (value) => typeof value === 'function')
}

/** A function, and the one that is taken where none is given. (zod's own default() must have a JSON.) */
export function callbackOr<Callback extends object>(fallback: Callback) {
  return callback<Callback>()
    .optional()
    .transform((given) => given ?? fallback)
}

/** Something with methods, taken as it is. */
export function instance<Instance>(expected: string): z.ZodCustom<Instance, Instance> {
  return kind<Instance>(expected, (value) => typeof value === 'object' && value !== null)
}

/** A list whose elements are checked elsewhere, taken as it is. */
export function list<Element>(): z.ZodCustom<readonly Element[], readonly Element[]> {
  return kind<readonly Element[]>('a list', (value) => Array.isArray(value))
}

/** Text of a form that a regular expression or a function tells. */
export function textOf(expected: string, isOne: RegExp | ((text: string) => boolean)) {
  const test = isOne instanceof RegExp ? (text: string) => isOne.test(text) : isOne
  return z.string().refine(test, expected).meta({ expected })
}

/** An address of a server. */
export const webAddress = textOf(
  'an address that begins with http:// or https://',
  (text) => /^https?:\/\//.test(text) && URL.canParse(text),
)

export const signal = kind<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal)

/** Told of things that stop nothing. Default: process.emitWarning. */
export const onWarning = callbackOr<(message: string) => void>((message) =>
  process.emitWarning(message, 'HdpoWarning'),
)
