// What an option may be, in words, from the JSON Schema of its zod type: "0 to 1", "a whole number of at least 1".
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'

export interface JsonSchema {
  type?: string
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  additionalProperties?: JsonSchema | boolean
  anyOf?: JsonSchema[]
  enum?: unknown[]
  const?: unknown
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  minLength?: number
  minItems?: number
  /** Set with .meta({ secret: true }): its value is never shown. */
  secret?: boolean
  /** What is allowed, in words, where the type does not say it: set with .meta({ expected }). */
  expected?: string
  default?: unknown
}

/** What somebody may pass. A default that is a function has no JSON: callbackOr (option-kinds.ts) is for those. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input', reused: 'inline' }) as JsonSchema
}

/** `issue`: what was found wrong, which tells where the schema does not. */
export function expectedBy(schema: JsonSchema, issue?: z.core.$ZodIssue): string {
  if (schema.expected !== undefined) return schema.expected
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return `one of ${schema.enum.join(', ')}`
  if (schema.anyOf) return [...new Set(schema.anyOf.map((form) => expectedBy(form)))].join(' or ')
  if (issue?.code === 'invalid_format') return issue.message
  if (schema.type === 'integer' || schema.type === 'number') return expectedNumber(schema)
  if (schema.type === 'string') {
    return (schema.minLength ?? 0) > 1 ? `text of at least ${schema.minLength} characters` : 'text'
  }
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'array') return (schema.minItems ?? 0) > 0 ? 'a list that is not empty' : 'a list'
  if (schema.type === 'object') return 'an object'
  if (schema.type === 'null') return 'null'
  return issue ? fromIssue(issue) : 'of another kind'
}

function fromIssue(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_type' ? `of type ${issue.expected}` : issue.message
}

function expectedNumber(schema: JsonSchema): string {
  const { exclusiveMinimum: above, exclusiveMaximum: below } = schema
  const atLeast = limit(schema.minimum)
  const atMost = limit(schema.maximum)
  const kind = schema.type === 'integer' ? 'a whole number' : 'a number'
  if (atLeast !== undefined && atMost !== undefined) {
    return schema.type === 'integer'
      ? `a whole number from ${atLeast} to ${atMost}`
      : `${atLeast} to ${atMost}`
  }
  const bounds = [
    ...(above === undefined ? [] : [`greater than ${above}`]),
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(below === undefined ? [] : [`less than ${below}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ].join(' and ')
  if (bounds === '') return kind
  return schema.type === 'integer' ? `${kind}${above === undefined ? ' of' : ''} ${bounds}` : bounds
}

/** Bounds that only say that a whole number is exact are left out. */
function limit(bound: number | undefined): number | undefined {
  return bound === undefined || Math.abs(bound) >= Number.MAX_SAFE_INTEGER ? undefined : bound
}

/** The schema at a path; {} where it says nothing about it. */
export function schemaAt(schema: JsonSchema, path: readonly PropertyKey[]): JsonSchema {
  return path.reduce<JsonSchema>((at, key) => {
    if (typeof key === 'number') return formsOf(at).find(({ items }) => items)?.items ?? {}
    const property = propertiesOf(at)[String(key)]
    if (property) return property
    const others = formsOf(at).find(({ additionalProperties }) => typeof additionalProperties === 'object')
    return (others?.additionalProperties as JsonSchema | undefined) ?? {}
  }, schema)
}

/** The properties of all forms that a value may have. */
export function propertiesOf(schema: JsonSchema): Record<string, JsonSchema> {
  return Object.assign({}, ...formsOf(schema).map(({ properties = {} }) => properties))
}

function formsOf(schema: JsonSchema): JsonSchema[] {
  return [schema, ...(schema.anyOf ?? []).flatMap(formsOf)]
}

/** The candidate that `word` looks like a misspelling of. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const [best] = ranked
  const most = Math.min(Math.max(2, Math.floor(word.length / 3)), word.length - 1)
  return best && best.edits <= most ? best.candidate : undefined
}
