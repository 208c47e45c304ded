// Reads a tool's input, a zod 4 schema or JSON Schema, into the JSON Schema that the policy sees and a validator with messages
// that the policy can understand.
import { z } from 'zod'
import {
  compileJsonSchema,
  type ErrorObject,
  type SchemaKind,
  type ValidateFunction,
} from '../core/json-schema-compiler.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { ToolInputError } from './tool-input-error.js'

export type JsonSchema = Record<string, unknown>

export interface InputSchema<Input> {
  parameters: JsonSchema
  /** Throws a ToolInputError. */
  validate(input: unknown): Input
}

interface SchemaOptions {
  /**
   * The schema was not written for hdpo: unknown keywords are ignored, as JSON Schema asks. In a user's own tool they are
   * misspellings.
   */
  foreign?: boolean
  /** The name of the option in errors. Default 'input'. */
  name?: string
}

/** Throws InvalidOptionError where the schema does not describe an object. */
export function resolveInputSchema(input: unknown, options: SchemaOptions = {}): InputSchema<unknown> {
  const { name = 'input', foreign = false } = options
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidOptionError(name, 'a zod schema or a JSON Schema object', input)
  }
  if ('_zod' in input) return fromZod(input as z.ZodType, name)
  if ('_def' in input) throw new InvalidOptionError(name, 'a schema of zod 4', new Described('one of zod 3'))
  return fromJsonSchema(input as JsonSchema, name, foreign)
}

function fromZod(schema: z.ZodType, name: string): InputSchema<unknown> {
  const { $schema: _, ...parameters } = zodToJsonSchema(schema, name)
  checkIsObject(parameters, name)
  return {
    parameters,
    validate(input) {
      const parsed = schema.safeParse(input)
      if (parsed.success) return parsed.data
      throw new ToolInputError(
        parsed.error.issues.map(({ path, message }) => complaint(path, message)).join('; '),
      )
    },
  }
}

/** The policy writes the schema's input type; defaults and transformations are applied after it. */
function zodToJsonSchema(schema: z.ZodType, name: string): JsonSchema {
  try {
    return z.toJSONSchema(schema, { io: 'input' })
  } catch (error) {
    const given = new Described(`one that it cannot: ${(error as Error).message}`)
    throw new InvalidOptionError(name, 'a schema that JSON Schema can express', given, { cause: error })
  }
}

function fromJsonSchema(schema: JsonSchema, name: string, foreign: boolean): InputSchema<unknown> {
  checkIsObject(schema, name)
  const check = compile(schema, name, foreign)
  return { parameters: schema, validate: (input) => checked(check, input) }
}

/** A schema that was found to be one, of somebody else's tool; it is compiled when the tool is first called. */
export function lateInputSchema(schema: JsonSchema, kind: SchemaKind): InputSchema<unknown> {
  let check: ValidateFunction | undefined
  return {
    parameters: schema,
    validate(input) {
      check ??= compileJsonSchema(schema, kind)
      return checked(check, input)
    },
  }
}

function checked(check: ValidateFunction, input: unknown): unknown {
  if (check(input)) return input
  throw new ToolInputError(complaintsOf(check.errors ?? []))
}

/** What is wrong with a value, in words that a policy understands. */
export function complaintsOf(errors: readonly ErrorObject[]): string {
  return errors.map((error) => complaint(pathOf(error), explain(error))).join('; ')
}

function compile(schema: JsonSchema, name: string, foreign: boolean) {
  try {
    return compileJsonSchema(schema, { allErrors: true, strict: !foreign, patterns: 'own' })
  } catch (error) {
    const given = new Described(`one that is none: ${(error as Error).message}`)
    throw new InvalidOptionError(name, 'a valid JSON Schema', given, { cause: error })
  }
}

function checkIsObject(parameters: JsonSchema, name: string): void {
  if (parameters.type === 'object') return
  throw new InvalidOptionError(`${name}.type`, '"object"', parameters.type)
}

/** Turns a JSON Pointer (RFC 6901) into a list of keys. */
function pathOf({ instancePath }: ErrorObject): string[] {
  return instancePath
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function explain({ keyword, params, message = keyword }: ErrorObject): string {
  if (keyword === 'additionalProperties')
    return `must NOT have additional property "${params.additionalProperty}"`
  if (keyword === 'enum')
    return `must be one of ${params.allowedValues.map((value: unknown) => JSON.stringify(value)).join(', ')}`
  return message
}

function complaint(path: readonly PropertyKey[], message: string): string {
  return path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`
}
