// Reads the schema of somebody else's tool, written in whatever dialect or by whatever program, into JSON Schema 2020-12 of an object.
import { isRecord } from '../../core/is-record.js'
import { linearForeignPattern } from '../../core/json-schema-compiler.js'

export interface ForeignSchema {
  schema: Record<string, unknown>
  /** Patterns that are not asserted: no engine runs them in linear time. */
  ignored: string[]
}

/** Why a schema cannot be used. */
export class UnusableSchema extends Error {
  override readonly name = 'UnusableSchema'
}

const deepest = 100
const schemaKeywords = [
  'additionalProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
  'propertyNames',
  'contains',
  'not',
  'if',
  'then',
  'else',
  'additionalItems',
]
const listKeywords = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const mapKeywords = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']
const literalKeywords = ['const', 'default', 'enum', 'examples', 'example']

/**
 * What is null counts as left out, an absent schema or type as an object's; draft-04 to draft-07 become 2020-12. Throws UnusableSchema where
 * it is no schema of an object, or refers to what is not there.
 */
export function readForeignSchema(given: unknown): ForeignSchema {
  if (given !== undefined && given !== null && given !== true && !isRecord(given)) {
    throw new UnusableSchema(`a schema is an object, got ${JSON.stringify(given)}`)
  }
  const ignored: string[] = []
  const {
    $schema: _,
    $id: id,
    id: __,
    ...schema
  } = read(isRecord(given) ? given : {}, ignored, 0) as Record<string, unknown>
  const type =
    Array.isArray(schema.type) && schema.type.includes('object') ? 'object' : (schema.type ?? 'object')
  if (type !== 'object') throw new UnusableSchema(`type must be "object", got ${JSON.stringify(type)}`)
  const whole = { ...schema, type }
  checkReferences(whole, whole, typeof id === 'string' ? id : undefined)
  return { schema: whole, ignored }
}

function read(schema: unknown, ignored: string[], depth: number): unknown {
  if (depth > deepest) throw new UnusableSchema(`nested deeper than ${deepest} levels`)
  if (!isRecord(schema)) return schema
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(schema)) {
    if (value === null && !literalKeywords.includes(key)) continue
    result[key] = readKeyword(key, value, (inner) => read(inner, ignored, depth + 1))
  }
  if (typeof result.pattern === 'string' && !linearForeignPattern(result.pattern))
    ignored.push(result.pattern)
  fromDraft04(result)
  fromListOfItems(result)
  withoutUnknownPatterns(result, ignored)
  return result
}

function readKeyword(key: string, value: unknown, inner: (schema: unknown) => unknown): unknown {
  if (schemaKeywords.includes(key)) return inner(value)
  if (listKeywords.includes(key) && Array.isArray(value)) return value.map(inner)
  if (key === 'items') return Array.isArray(value) ? value.map(inner) : inner(value)
  if (mapKeywords.includes(key) && isRecord(value)) {
    const entries = Object.entries(value).filter(([, schema]) => schema !== null)
    return Object.fromEntries(entries.map(([name, schema]) => [name, inner(schema)]))
  }
  return value
}

/** Limits that are exclusive by a flag (draft-04). A property that is required by one (draft-03) is not: the list of names is its parent's. */
function fromDraft04(schema: Record<string, unknown>): void {
  for (const [flag, limit] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    if (typeof schema[flag] !== 'boolean') continue
    const exclusive = schema[flag]
    delete schema[flag]
    if (exclusive && schema[limit] !== undefined) {
      schema[flag] = schema[limit]
      delete schema[limit]
    }
  }
  if (typeof schema.required !== 'boolean') return
  delete schema.required
}

/** Before 2020-12 `items` may be a list of schemas, by position, and `additionalItems` is for the rest. */
function fromListOfItems(schema: Record<string, unknown>): void {
  const { items, additionalItems } = schema
  delete schema.additionalItems
  if (!Array.isArray(items)) return
  delete schema.items
  if (items.length > 0) schema.prefixItems = items
  if (additionalItems !== undefined) schema.items = additionalItems
}

/** A pattern of names that cannot be told apart binds nothing, and then `additionalProperties` would refuse what it is for. */
function withoutUnknownPatterns(schema: Record<string, unknown>, ignored: string[]): void {
  if (!isRecord(schema.patternProperties)) return
  const unknown = Object.keys(schema.patternProperties).filter((source) => !linearForeignPattern(source))
  if (unknown.length === 0) return
  ignored.push(...unknown)
  const known = Object.entries(schema.patternProperties).filter(([source]) => !unknown.includes(source))
  schema.patternProperties = Object.fromEntries(known)
  delete schema.additionalProperties
  delete schema.unevaluatedProperties
}

/** References within the schema, by `#/...`, `#` or its own address; others would have to be fetched. */
function checkReferences(value: unknown, root: Record<string, unknown>, id: string | undefined): void {
  if (Array.isArray(value)) for (const item of value) checkReferences(item, root, id)
  if (!isRecord(value)) return
  if (typeof value.$ref === 'string') {
    if (id !== undefined && value.$ref.startsWith(`${id}#`)) value.$ref = value.$ref.slice(id.length)
    checkReference(String(value.$ref), root)
  }
  for (const [key, inner] of Object.entries(value)) {
    if (!literalKeywords.includes(key)) checkReferences(inner, root, id)
  }
}

function checkReference(reference: string, root: Record<string, unknown>): void {
  const steps = reference
    .split('/')
    .slice(1)
    .map((step) => decoded(step).replaceAll('~1', '/').replaceAll('~0', '~'))
  let at: unknown = root
  for (const step of steps)
    at = (isRecord(at) || Array.isArray(at)) && Object.hasOwn(at, step) ? (at as never)[step] : undefined
  const isPointer = reference === '#' || reference.startsWith('#/')
  // A name set by $anchor or $id is for the compiler to find.
  if (!isPointer && /^#?[\w.-]+$/.test(reference)) return
  if (!isPointer || at === undefined)
    throw new UnusableSchema(`nothing is at the reference ${JSON.stringify(reference)}`)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return text
    throw error
  }
}
