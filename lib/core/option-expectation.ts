// Says in words what an option may be, from the JSON Schema of its zod type: "0 to 1", "a whole number of at least 1".
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'

export interface JsonSchema {
  type?: string | string[]
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
  /** What is allowed, in words, where the type does not say it; set with .meta({ expected }). */
  expected?: string
  default?: unknown
}

/** The schema of what a caller may pass. A function has no JSON, so functions with defaults use callbackOr (option-kinds.ts). */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input', reused: 'inline' }) as JsonSchema
}

// The words for a custom type that was given none.
const wordless = 'something else'

/** `issue` is what zod found wrong; it is used where the schema says nothing. The words are chosen to fit `given`. */
export function expectedBy(schema: JsonSchema, issue?: z.core.$ZodIssue, given?: unknown): string {
  if (schema.expected !== undefined) return schema.expected
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return `one of ${schema.enum.join(', ')}`
  if (schema.anyOf || Array.isArray(schema.type)) return either(alternatives(schema, issue)) || wordless
  if (issue?.code === 'invalid_format') return expectedFormat(issue)
  if (schema.type === 'integer' || schema.type === 'number') return expectedNumber(schema, given)
  if (schema.type === 'string') return expectedText(schema, given)
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'array') return (schema.minItems ?? 0) > 0 ? 'a list that is not empty' : 'a list'
  if (schema.type === 'object') return 'an object'
  if (schema.type === 'null') return 'null'
  return (issue && fromIssue(issue)) ?? wordless
}

/** Undefined where the issue says nothing of use. */
function fromIssue(issue: z.core.$ZodIssue): string | undefined {
  if (issue.code === 'invalid_type') return `of type ${issue.expected}`
  return issue.message === 'Invalid input' ? undefined : issue.message
}

/** The words for each form that a value may have; forms without words are left out. */
function alternatives(schema: JsonSchema, issue?: z.core.$ZodIssue): string[] {
  const { expected, anyOf, enum: choices, type } = schema
  if (expected !== undefined) return [expected]
  if (Array.isArray(type)) return type.flatMap((one) => alternatives({ ...schema, type: one }))
  if (choices) return choices.map(String)
  if (type === 'boolean' && schema.const === undefined) return ['true', 'false']
  if (anyOf) {
    const errors = issue?.code === 'invalid_union' && issue.errors.length === anyOf.length ? issue.errors : []
    return anyOf.flatMap((form, index) => alternatives(form, errors[index]?.[0]))
  }
  const says = Object.keys(schema).length > 0 || (issue && fromIssue(issue)) !== undefined
  return says ? [expectedBy(schema, issue)] : []
}

function either(forms: string[]): string {
  const different = [...new Set(forms)]
  return [different.slice(0, -1).join(', '), ...different.slice(-1)]
    .filter((part) => part !== '')
    .join(' or ')
}

/** The expected format in words, because zod's own messages ("Invalid URL") cannot end a sentence that begins with "must be". */
function expectedFormat({ message, format, pattern }: z.core.$ZodIssueInvalidStringFormat): string {
  if (!message.startsWith('Invalid ')) return message
  return pattern !== undefined && format === 'regex'
    ? `text that matches ${pattern}`
    : `text of the form "${format}"`
}

function expectedText({ minLength = 0 }: JsonSchema, given: unknown): string {
  if (minLength > 1) return `text of at least ${minLength} characters`
  return given === '' ? 'text that is not empty' : 'text'
}

/** "at least 0" where a number was given; "a number of at least 0" where something else was. */
function expectedNumber(schema: JsonSchema, given: unknown): string {
  const bounds = boundsOf(schema, given)
  if (schema.type === 'number' && typeof given === 'number') return bounds.join(' and ') || 'a number'
  const kind = schema.type === 'integer' ? 'a whole number' : 'a number'
  const [first] = bounds
  if (first === undefined) return kind
  const joint = first.startsWith('at ') ? ' of ' : /^[-\d]/.test(first) ? ' from ' : ' '
  return kind + joint + bounds.join(' and ')
}

function boundsOf(schema: JsonSchema, given: unknown): string[] {
  const { exclusiveMinimum: above, exclusiveMaximum: below } = schema
  const atLeast = worthSaying(schema.minimum, (bound) => isFiniteNumber(given) && given < bound)
  const atMost = worthSaying(schema.maximum, (bound) => isFiniteNumber(given) && given > bound)
  const isAbove = above !== undefined && (atLeast === undefined || above >= atLeast)
  if (!isAbove && atLeast !== undefined && atMost !== undefined) return [`${atLeast} to ${atMost}`]
  const isUnbounded = schema.type === 'number' && atMost === undefined && below === undefined
  return [
    ...(isUnbounded && given === Number.POSITIVE_INFINITY ? ['finite'] : []),
    ...(isAbove ? [`greater than ${above}`] : []),
    ...(isAbove || atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(below === undefined ? [] : [`less than ${below}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ]
}

/** Bounds that come from the number type itself (the largest float or safe integer) are named only where they were broken. */
function worthSaying(bound: number | undefined, isBroken: (bound: number) => boolean): number | undefined {
  if (bound === undefined || Math.abs(bound) < Number.MAX_SAFE_INTEGER) return bound
  return isBroken(bound) ? bound : undefined
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
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

/** The properties of all forms that a value may have, in one record. */
export function propertiesOf(schema: JsonSchema): Record<string, JsonSchema> {
  return Object.assign({}, ...formsOf(schema).map(({ properties = {} }) => properties))
}

function formsOf(schema: JsonSchema): JsonSchema[] {
  return [schema, ...(schema.anyOf ?? []).flatMap(formsOf)]
}

/** Whether the value is a secret in one of its forms. */
export function isSecret(schema: JsonSchema): boolean {
  return formsOf(schema).some(({ secret }) => secret)
}

/** Whether the value is a secret or may contain one. */
export function mayHoldSecret(schema: JsonSchema): boolean {
  const { secret, properties = {}, items, additionalProperties, anyOf = [] } = schema
  const parts = [...Object.values(properties), ...anyOf, items, additionalProperties]
  return secret === true || parts.some((part) => typeof part === 'object' && mayHoldSecret(part))
}

/** The candidate that `word` is probably a misspelling of. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const [best] = ranked
  const most = Math.min(Math.max(2, Math.floor(word.length / 3)), word.length - 1)
  return best && best.edits <= most ? best.candidate : undefined
}
