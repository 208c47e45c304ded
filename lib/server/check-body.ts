// Checks what a client sent against a schema.
import { inspect } from 'node:util'
import type { z } from 'zod'
import { ApiError, invalid } from '../http/api-error.js'

/** The value as the schema has it. Throws ApiError 400 that names the first wrong field; `at` is put before its path. */
export function checkBody<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  at = '',
): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { code, path, message, keys } = result.error.issues[0] as z.core.$ZodIssue & { keys?: string[] }
  if (code === 'unrecognized_keys') {
    const param = pathText(at, [...path, keys?.[0] as string])
    throw new ApiError(400, `${param}: this server does not support it`, {
      param,
      code: 'unsupported_parameter',
    })
  }
  const given = path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  )
  const shown = inspect(given, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 80 })
  const param = pathText(at, path) || 'body'
  const isUnsupported = code === 'invalid_value' && given !== undefined
  throw invalid(param, `${message}, got ${shown}`, isUnsupported ? 'unsupported_value' : 'invalid_value')
}

function pathText(at: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, at)
}
