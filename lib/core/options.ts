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
import { z } from 'zod'
import { Described, InvalidOptionError, type OptionMistake } from './option-error.js'
import { expectedBy, type JsonSchema, nearest, propertiesOf, schemaAt } from './option-expectation.js'

export type OptionsOf<Shape extends z.core.$ZodLooseShape> = z.input<z.ZodObject<Shape, z.core.$strict>>
/** With every default in it. */
export type ResolvedOptions<Shape extends z.core.$ZodLooseShape> = z.output<
  z.ZodObject<Shape, z.core.$strict>
>

/** The options with every default in them. Throws InvalidOptionError for the first mistake. `name` stands before the options' own. */
export function readOptions<Schema extends z.ZodType>(
  schema: Schema,
  given: unknown,
  name = '',
): z.output<Schema> {
  const result = schema.safeParse(given, { reportInput: true })
  if (result.success) return withoutUndefined(result.data, given)
  const [mistake] = mistakesOf(result.error, schema, given, name)
  const { option, expected, given: wrong } = mistake as OptionMistake
  throw new InvalidOptionError(option, expected, wrong)
}

/** Every mistake in a value, none where it is right. */
export function findMistakes(schema: z.ZodType, given: unknown, name = ''): OptionMistake[] {
  const result = schema.safeParse(given, { reportInput: true })
  return result.success ? [] : mistakesOf(result.error, schema, given, name)
}

/**
 * An option given as undefined is absent. What zod has read is new and is written anew here; what it took as it was (policies,
 * callbacks, lists) stays the same object.
 */
function withoutUndefined<Options>(read: Options, given: unknown): Options {
  if (read === given || typeof read !== 'object' || read === null || Array.isArray(read)) return read
  const entries = Object.entries(read).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    entries.map(([key, value]) => [key, withoutUndefined(value, (given as Record<string, unknown>)?.[key])]),
  ) as Options
}

function mistakesOf(
  { issues }: z.ZodError,
  schema: z.ZodType,
  given: unknown,
  name: string,
): OptionMistake[] {
  const described = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }) as JsonSchema
  return issues.flatMap((issue) => describeIssue(issue, described, { value: given, name }))
}

/** What was read as a whole, and the name that stands before its options. */
interface Whole {
  value: unknown
  name: string
}

function describeIssue(issue: z.core.$ZodIssue, schema: JsonSchema, whole: Whole): OptionMistake[] {
  const { name } = whole

  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      option: pathText([...issue.path, key], name),
      expected: absent(key, Object.keys(propertiesOf(schemaAt(schema, issue.path)))),
      given: valueAt(whole.value, [...issue.path, key]),
    }))
  }
  if (issue.code === 'invalid_union') {
    const inner = formMistakes(issue, schema, whole)
    if (inner) return inner
  }
  const place = schemaAt(schema, issue.path)
  const expected =
    issue.code === 'custom' || issue.code === 'invalid_format'
      ? issue.message.replace(/^must be /, '')
      : expectedBy(place, issue)
  // A check of several options together names one of them: its value is what was given.
  const given = valueAt(whole.value, issue.path)
  const shown = place.secret ? new Described(lengthOf(given)) : given
  return [{ option: pathText(issue.path, name) || 'options', expected, given: shown }]
}

/**
 * A value that may have several forms: the mistakes inside the form that it has, the one that objects to nothing about the value
 * as a whole. Undefined where it has none of them.
 */
function formMistakes(
  issue: z.core.$ZodIssueInvalidUnion,
  schema: JsonSchema,
  whole: Whole,
): OptionMistake[] | undefined {
  const form =
    issue.errors.find((issues) => issues.every(({ path }) => path.length > 0)) ??
    issue.errors.find((issues) =>
      issues.every(({ code }) => code === 'unrecognized_keys' || code === 'custom'),
    )
  return form?.flatMap((inner) => {
    const placed = { ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue
    return describeIssue(placed, schema, whole)
  })
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value)
}

function absent(key: string, known: string[]): string {
  const near = nearest(key, known)
  return near === undefined
    ? `left out (there is no such option; known: ${known.join(', ')})`
    : `left out (there is no such option; did you mean ${near}?)`
}

/** ['tasks', 3, 'id'] -> 'tasks[3].id' */
function pathText(path: readonly PropertyKey[], name: string): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, name)
}

function lengthOf(secret: unknown): string {
  return typeof secret === 'string' ? `${secret.length} characters` : typeof secret
}
