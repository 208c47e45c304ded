// Files that hold one JSON object: a model's config.json, tokenizer.json, what a run keeps. Their numbers are rounded as Python's and
// C's readers round them: transformers writes 1000000000000000019884624838656 for "no limit".
import type { ErrorCode } from './error-codes.js'
import { HdpoError } from './errors.js'
import { isRecord } from './is-record.js'
import { decodeText, readText, readTextSync } from './text-file.js'

export type JsonObject = Record<string, unknown>

/** Rejects with an HdpoError of this code where there is no such file, or what it holds is no JSON object. */
export async function readJsonObject(path: string, code: ErrorCode): Promise<JsonObject> {
  return objectOf(await readText(path, code), path, code)
}

/** As readJsonObject, without waiting. */
export function readJsonObjectSync(path: string, code: ErrorCode): JsonObject {
  return objectOf(readTextSync(path, code), path, code)
}

/** The object in the bytes of a file. `path` names it in errors. */
export function decodeJsonObject(bytes: Buffer, path: string, code: ErrorCode): JsonObject {
  return objectOf(decodeText(bytes, path, code), path, code)
}

function objectOf(text: string, path: string, code: ErrorCode): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new HdpoError(code, `cannot read ${path}: not JSON: ${(error as Error).message}`, { cause: error })
  }
  if (isRecord(value)) return value
  const given = JSON.stringify(value)
  throw new HdpoError(code, `cannot read ${path}: must hold a JSON object, got ${given.slice(0, 40)}`)
}
