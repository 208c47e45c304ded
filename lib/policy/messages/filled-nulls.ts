// Nulls that stand for nothing. Arrow (Parquet, `datasets`) has one set of keys for all rows of a column: what another row's object
// has comes back as null in this one. Left in, they would be part of prompts and of the calls that the policy learns to write.
import { ExactNumber } from '../../core/exact-number.js'
import { isRecord } from '../../core/is-record.js'

/**
 * Arguments of a call that were given as an object, without the nulls in it, except where `schema`, the tool's in the same
 * row, lists the key and allows null: that null is a value. Nulls in lists stay. Arguments that were given as JSON text are what
 * the model wrote, and are never changed.
 */
export function withoutFilledNulls(value: unknown, schema: unknown): unknown {
  if (Array.isArray(value)) {
    const items = isRecord(schema) ? schema.items : undefined
    return value.map((item: unknown) => withoutFilledNulls(item, items))
  }
  if (!isRecord(value) || value instanceof ExactNumber) return value
  const kept = Object.entries(value).filter(
    ([key, inner]) => inner !== null || allowsNull(schemaOf(schema, key)),
  )
  return Object.fromEntries(
    kept.map(([key, inner]) => [key, withoutFilledNulls(inner, schemaOf(schema, key))]),
  )
}

/**
 * A JSON Schema without keywords and properties that are null, which mean nothing in JSON Schema. `const` and `default` may be null:
 * they stay where the rest of the schema allows null. What stands in enum, const, default and examples is data and stays as it is.
 */
export function withoutNullKeywords(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutNullKeywords)
  if (!isRecord(schema) || schema instanceof ExactNumber) return schema
  const { const: constant, default: standard, ...rest } = schema
  const cleaned = Object.fromEntries(
    Object.entries(rest)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, dataKeywords.includes(key) ? value : withoutNullKeywords(value)]),
  )
  const mayBeNull = allowsNull(cleaned)
  // The order of the keys is part of the prompt.
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => {
      const isData = key === 'const' || key === 'default'
      if (value === null) return isData && mayBeNull ? [[key, value]] : []
      return [[key, isData ? value : cleaned[key]]]
    }),
  )
}

const dataKeywords: readonly string[] = ['enum', 'examples', 'example']
// A schema with none of these takes any value.
const restricting = ['type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf', '$ref', 'properties', 'items']

function allowsNull(schema: unknown): boolean {
  if (schema === true) return true
  if (!isRecord(schema)) return false
  const { type, anyOf, oneOf } = schema
  if (type === 'null' || (Array.isArray(type) && type.includes('null')) || schema.nullable === true)
    return true
  if (Array.isArray(schema.enum) && type === undefined) return schema.enum.includes(null)
  if (type === undefined && 'const' in schema) return schema.const === null
  const either = [anyOf, oneOf].find(Array.isArray)
  if (either) return either.some(allowsNull)
  return !restricting.some((keyword) => keyword in schema)
}

function schemaOf(schema: unknown, key: string): unknown {
  if (!isRecord(schema)) return undefined
  const { properties, additionalProperties } = schema
  if (isRecord(properties) && Object.hasOwn(properties, key)) return properties[key]
  return isRecord(additionalProperties) ? additionalProperties : undefined
}
