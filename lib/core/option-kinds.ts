// Kinds of options that several rooms use.
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
/** Of a file or folder. With a NUL in it the system would open what stands before the NUL. */
export const path = z
  .string()
  .min(1)
  .refine((given) => !given.includes('\0'), 'a path without NUL characters')

// The longest delay that setTimeout takes.
const longestTimeout = 2 ** 31 - 1
export const milliseconds = z.number().gt(0).max(longestTimeout)
export const delay = z.number().min(0).max(longestTimeout)
export const port = z.int().min(0).max(65_535)

/** A string that is never shown, such as an API key. */
export const secret = z.string().min(1).meta({ secret: true })

/** A value that zod has no type for, passed on unchanged. `expected` is the end of "must be ...". */
export function kind<Value>(expected: string, isOne: (value: unknown) => boolean): z.ZodCustom<Value, Value> {
  return z.custom<Value>(isOne, expected).meta({ expected })
}

/** A function of type `Callback`; its signature is not checked. */
export function callback<Callback>(): z.ZodCustom<Callback, Callback> {
  return kind<Callback>('a function', (value) => typeof value === 'function')
}

/** A function with a default. (zod's own default() would need a JSON form of it.) */
export function callbackOr<Callback extends object>(fallback: Callback) {
  return callback<Callback>()
    .optional()
    .transform((given) => given ?? fallback)
}

/** An object, passed on unchanged; `members` are what it must at least have. */
export function instance<Instance>(
  expected: string,
  ...members: (keyof Instance & string)[]
): z.ZodCustom<Instance, Instance> {
  return kind<Instance>(expected, (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value))
      return false
    return members.every((name) => (value as Instance)[name] != null)
  })
}

/** A list whose elements are checked elsewhere, passed on unchanged. */
export function list<Element>(): z.ZodCustom<readonly Element[], readonly Element[]> {
  return kind<readonly Element[]>('a list', (value) => Array.isArray(value))
}

/** Text whose form a regular expression or a function checks. */
export function textOf(expected: string, isOne: RegExp | ((text: string) => boolean)) {
  const test = isOne instanceof RegExp ? (text: string) => isOne.test(text) : isOne
  return z.string().refine(test, expected).meta({ expected })
}

/** The URL of a server. */
export const webAddress = textOf(
  'an address that begins with http:// or https://',
  (text) => /^https?:\/\//.test(text) && URL.canParse(text),
)

export const signal = kind<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal)

/** Called for problems that stop nothing. Default: process.emitWarning. */
export const onWarning = callbackOr<(message: string) => void>((message) =>
  process.emitWarning(message, 'HdpoWarning'),
)
