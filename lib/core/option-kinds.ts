// Kinds of options that many rooms have.
import { z } from 'zod'

/** 1, 2, 3 ... */
export const count = z.int().min(1)
export const positive = z.number().gt(0)
export const notNegative = z.number().min(0)
/** 0 to 1. */
export const share = z.number().min(0).max(1)
export const seed = z.int().min(0)
/** setTimeout takes no more than 2^31 - 1. */
export const milliseconds = z
  .number()
  .gt(0)
  .max(2 ** 31 - 1)

/** A function, typed as what it is used as. */
export function callback<Callback>(): z.ZodCustom<Callback, Callback> {
  return z.custom<Callback>((value) => typeof value === 'function', 'a function')
}

/** One that may be left out: then it is `fallback`. (A default that is a function could not be put into a JSON Schema.) */
export function callbackOr<Callback extends object>(fallback: Callback) {
  return callback<Callback>()
    .optional()
    .transform((given) => given ?? fallback)
}

/** Something with methods, taken as it is. */
export function instance<Instance>(expected: string): z.ZodCustom<Instance, Instance> {
  return z.custom<Instance>((value) => typeof value === 'object' && value !== null, expected)
}

/** A list whose elements are checked elsewhere, taken as it is. */
export function list<Element>(): z.ZodCustom<readonly Element[], readonly Element[]> {
  return z.custom<readonly Element[]>((value) => Array.isArray(value), 'a list')
}

export const signal = z.custom<AbortSignal>((value) => value instanceof AbortSignal, 'an AbortSignal')

/** Told of things that stop nothing. Default: process.emitWarning. */
export const onWarning = callbackOr((message: string) => process.emitWarning(message, 'HdpoWarning'))
