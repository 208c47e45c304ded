// How options are read: a room's options file has their shape, a zod type for each with its default and its doc comment, and
// derives the types from it; what is wrong is said in one form (option-error.ts).
//
//   export const rolloutShape = {
//     /** Assistant turns of a rollout. Default 10. */
//     maxTurns: count.default(10),
//   }
//   export interface RolloutOptions extends OptionsOf<typeof rolloutShape> {}
//
// A constant and an interface, so that the doc comments are in the published type declarations too.
import type { z } from 'zod'
import { Described, InvalidOptionError, type OptionMistake } from './option-error.js'
import {
  expectedBy,
  isSecret,
  type JsonSchema,
  jsonSchemaOf,
  mayHoldSecret,
  nearest,
  propertiesOf,
  schemaAt,
} from './option-expectation.js'
import { isSecretName } from './secret-names.js'

export type OptionsOf<Shape extends z.core.$ZodLooseShape> = z.input<z.ZodObject<Shape, z.core.$strict>>
/** The options with every default filled in. */
export type ResolvedOptions<Shape extends z.core.$ZodLooseShape> = z.output<
  z.ZodObject<Shape, z.core.$strict>
>
/** The result of readOptions has no undefined at any depth; this type says so only for the outermost keys. */
type WithoutUndefined<Options> = { [Key in keyof Options]: Exclude<Options[Key], undefined> }

/**
 * Returns the options with defaults filled in. Throws InvalidOptionError for the first mistake. `name` is put before the options'
 * names.
 */
export function readOptions<Schema extends z.ZodType>(
  schema: Schema,
  given: unknown,
  name = '',
): WithoutUndefined<z.output<Schema>> {
  const result = schema.safeParse(given)
  if (result.success) return withoutUndefined(result.data, given)
  const [mistake] = new MistakeReader(schema, given, name).read(result.error)
  const { option, expected, given: wrong } = mistake as OptionMistake
  throw new InvalidOptionError(option, expected, wrong)
}

/** Every mistake in a value; empty where there is none. */
export function findMistakes(schema: z.ZodType, given: unknown, name = ''): OptionMistake[] {
  const result = schema.safeParse(given)
  return result.success ? [] : new MistakeReader(schema, given, name).read(result.error)
}

/**
 * Drops options given as undefined. Objects that zod has built are rebuilt without them; those that it passed on (policies,
 * callbacks, lists) stay the same objects.
 */
function withoutUndefined<Options>(read: Options, given: unknown): WithoutUndefined<Options> {
  const isPlain =
    typeof read === 'object' && read !== null && Object.getPrototypeOf(read) === Object.prototype
  if (read === given || !isPlain) return read as WithoutUndefined<Options>
  const entries = Object.entries(read).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    entries.map(([key, value]) => [key, withoutUndefined(value, (given as Record<string, unknown>)?.[key])]),
  ) as WithoutUndefined<Options>
}

/** Turns zod's issues into mistakes. */
class MistakeReader {
  readonly #schema: JsonSchema

  constructor(
    schema: z.ZodType,
    private readonly given: unknown,
    private readonly name: string,
  ) {
    this.#schema = jsonSchemaOf(schema)
  }

  read({ issues }: z.ZodError): OptionMistake[] {
    return unknownFirst(issues).flatMap((issue) => this.#describe(issue, issue.path))
  }

  #describe(issue: z.core.$ZodIssue, path: readonly PropertyKey[]): OptionMistake[] {
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => this.#unknownKey(key, path))
    const form = issue.code === 'invalid_union' ? formOf(issue) : undefined
    if (form) return unknownFirst(form).flatMap((inner) => this.#describe(inner, [...path, ...inner.path]))
    const place = schemaAt(this.#schema, path)
    const given = this.#at(path)
    return [
      {
        option: pathText(path, this.name) || 'options',
        expected: issue.code === 'custom' ? customWords(issue, place) : expectedBy(place, issue, given),
        given: this.#isWithinSecret(path) ? withoutSecret(given) : shown(given, place),
      },
    ]
  }

  #unknownKey(key: string, path: readonly PropertyKey[]): OptionMistake {
    const known = propertiesOf(schemaAt(this.#schema, path))
    const near = nearest(key, Object.keys(known))
    const hint = near === undefined ? `known: ${Object.keys(known).join(', ')}` : `did you mean ${near}?`
    const given = this.#at([...path, key])
    // The name of a secret may be misspelt beyond recognition, and a secret may stand where there is no place for any.
    const isHidden =
      (isSecretName(key) && typeof given !== 'number') ||
      this.#isWithinSecret([...path, key]) ||
      (!near && Object.values(known).some(isSecret))
    return {
      option: pathText([...path, key], this.name),
      expected: `left out (there is no such option; ${hint})`,
      given: isHidden ? withoutSecret(given) : shown(given, near === undefined ? {} : known[near]),
    }
  }

  #at(path: readonly PropertyKey[]): unknown {
    return path.reduce((value, key) => (value as Record<PropertyKey, unknown>)?.[key], this.given)
  }

  /** Whether the path leads through a value that is a secret as a whole. */
  #isWithinSecret(path: readonly PropertyKey[]): boolean {
    return path.some((_, index) => isSecret(schemaAt(this.#schema, path.slice(0, index))))
  }
}

/** Puts unknown keys first: a misspelt name is reported before the missing option that it causes. */
function unknownFirst(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  const isUnknown = ({ code }: z.core.$ZodIssue) => code === 'unrecognized_keys'
  return [...issues.filter(isUnknown), ...issues.filter((issue) => !isUnknown(issue))]
}

/**
 * For a value that may have several forms: the mistakes inside the form whose type the value has. Where several fit, the form
 * with the fewest.
 */
function formOf({ errors }: z.core.$ZodIssueInvalidUnion): readonly z.core.$ZodIssue[] | undefined {
  return errors
    .filter((issues) => issues.every(({ path, code }) => path.length > 0 || code === 'unrecognized_keys'))
    .toSorted((one, other) => one.length - other.length)[0]
}

/** The message of a custom zod type; where it was given none, the schema's own words. */
function customWords(issue: z.core.$ZodIssueCustom, place: JsonSchema): string {
  return issue.message === 'Invalid input' ? expectedBy(place, issue) : issue.message
}

/** ['tasks', 3, 'id'] -> 'tasks[3].id' */
function pathText(path: readonly PropertyKey[], name: string): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, name)
}

function shown(given: unknown, place: JsonSchema = {}): unknown {
  const isHidden = isSecret(place) || (mayHoldSecret(place) && typeof given !== 'number')
  return isHidden ? withoutSecret(given) : given
}

/** What is shown in place of a value that is a secret or may contain one. */
function withoutSecret(given: unknown): unknown {
  if (typeof given === 'string') return new Described(`${given.length} characters`)
  if (typeof given === 'number') return new Described('a number')
  if (typeof given !== 'object' || given === null) return given
  return new Described(Array.isArray(given) ? 'a list' : 'an object')
}
