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
  if (result.success) return withoutUndefined(result.data)
  const [mistake] = mistakesOf(result.error, schema, name)
  const { option, expected, given: wrong } = mistake as OptionMistake
  throw new InvalidOptionError(option, expected, wrong)
}

/** Every mistake in a value, none where it is right. */
export function findMistakes(schema: z.ZodType, given: unknown, name = ''): OptionMistake[] {
  const result = schema.safeParse(given, { reportInput: true })
  return result.success ? [] : mistakesOf(result.error, schema, name)
}

/** An option given as undefined is absent. */
export function withoutUndefined<Options>(options: Options): Options {
  const isPlain =
    typeof options === 'object' && options !== null && Object.getPrototypeOf(options) === Object.prototype
  if (!isPlain) return options
  return Object.fromEntries(
    Object.entries(options).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, withoutUndefined(value)]],
    ),
  ) as Options
}

function mistakesOf({ issues }: z.ZodError, schema: z.ZodType, name: string): OptionMistake[] {
  const described = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }) as JsonSchema
  return issues.flatMap((issue) => describeIssue(issue, described, name))
}

function describeIssue(issue: z.core.$ZodIssue, schema: JsonSchema, name: string): OptionMistake[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      option: pathText([...issue.path, key], name),
      expected: absent(key, Object.keys(propertiesOf(schemaAt(schema, issue.path)))),
      given: (issue.input as Record<string, unknown> | undefined)?.[key],
    }))
  }
  if (issue.code === 'invalid_union') {
    const inner = formMistakes(issue, schema, name)
    if (inner) return inner
  }
  const place = schemaAt(schema, issue.path)
  const expected =
    issue.code === 'custom' || issue.code === 'invalid_format'
      ? issue.message.replace(/^must be /, '')
      : expectedBy(place, issue)
  const given = place.secret ? new Described(lengthOf(issue.input)) : issue.input
  return [{ option: pathText(issue.path, name) || 'options', expected, given }]
}

/**
 * A value that may have several forms: the mistakes inside the form that it has, the one that objects to nothing about the value
 * as a whole. Undefined where it has none of them.
 */
function formMistakes(
  issue: z.core.$ZodIssueInvalidUnion,
  schema: JsonSchema,
  name: string,
): OptionMistake[] | undefined {
  const form =
    issue.errors.find((issues) => issues.every(({ path }) => path.length > 0)) ??
    issue.errors.find((issues) =>
      issues.every(({ code }) => code === 'unrecognized_keys' || code === 'custom'),
    )
  return form?.flatMap((inner) => {
    const placed = { ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue
    return describeIssue(placed, schema, name)
  })
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
