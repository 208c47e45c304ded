// Arguments of a policy's methods that reach the native core as they are given, checked here so that a mistake is named.
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { kind, path } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import { fromNative } from '../native/addon.js'

const int32 = kind<Int32Array>('an Int32Array', (value) => value instanceof Int32Array)
const uint8 = kind<Uint8Array>('a Uint8Array', (value) => value instanceof Uint8Array)
const float32 = kind<Float32Array>('a Float32Array', (value) => value instanceof Float32Array)

const packed = { tokens: int32, offsets: int32, mask: uint8, excludedToken: z.int().min(0).optional() }
export const packedSequences = z.looseObject(packed)
export const policyBatch = z.looseObject({
  ...packed,
  oldLogprobs: float32,
  referenceLogprobs: float32.optional(),
  accuracyAdvantages: float32,
  efficiencyAdvantages: float32,
  importanceWeights: float32.optional(),
})
export const packedTokens = z.looseObject({ tokens: int32, offsets: int32 })

/** A path that the native core opens; `name` is the argument's. */
export function checkPath(given: unknown, name = 'path'): string {
  return readOptions(path, given, name)
}

/** One path, or several. */
export function checkPaths(given: unknown): string | string[] {
  if (!Array.isArray(given)) return checkPath(given, 'paths')
  if (given.length === 0)
    throw new InvalidOptionError('paths', 'a path or a list of at least one path', given)
  return given.map((each, index) => checkPath(each, `paths[${index}]`))
}

/** A plain or typed array. */
export function isArrayLike(given: unknown): given is ArrayLike<unknown> {
  return Array.isArray(given) || (ArrayBuffer.isView(given) && !(given instanceof DataView))
}

/** Token ids below `vocabSize` in a plain or typed array, copied. */
export function checkTokens(given: unknown, vocabSize: number): Int32Array {
  if (!isArrayLike(given)) throw new InvalidOptionError('tokens', 'a list of token ids', given)
  // Methods of a typed array throw where its buffer was transferred away; it then has no elements.
  const tokens = given.length === 0 ? [] : Array.from(given)
  const wrong = tokens.findIndex((token) => !isTokenId(token, vocabSize))
  if (wrong >= 0) {
    const expected = `a token id, which run from 0 to ${vocabSize - 1}`
    throw new InvalidOptionError(`tokens[${wrong}]`, expected, tokens[wrong])
  }
  return Int32Array.from(tokens as number[])
}

function isTokenId(token: unknown, vocabSize: number): boolean {
  return Number.isInteger(token) && Number(token) >= 0 && Number(token) < vocabSize
}

/** What does not fit together in a batch is found by the native core, which says it in a sentence that names the array. */
export async function fromBatch<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await fromNative(work())
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error
    throw new HdpoError('ERR_BATCH', error.message, { cause: error })
  }
}
