// Reads a config file, YAML or TypeScript / JavaScript (default export), and says by key what is wrong with
// it.
import { readFile } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { distance } from 'fastest-levenshtein'
import { register } from 'tsx/esm/api'
import { parse as parseYaml, YAMLParseError } from 'yaml'
import { z } from 'zod'
import { HdpoError } from '../../core/errors.js'

const yamlExtensions = ['.yaml', '.yml', '.json']
const moduleExtensions = ['.ts', '.mts', '.js', '.mjs']

export interface LoadedConfig<Config> {
  config: Config
  /** Paths inside the config are relative to this. */
  folder: string
}

/** Throws ERR_CONFIG with one line per mistake. */
export async function loadConfig<Schema extends z.ZodObject>(
  path: string,
  schema: Schema,
): Promise<LoadedConfig<z.infer<Schema>>> {
  const value = await readConfigFile(path)
  return { config: checkConfig(value, schema, path), folder: dirname(resolve(path)) }
}

/** `where` names the source in messages. */
export function checkConfig<Schema extends z.ZodObject>(
  value: unknown,
  schema: Schema,
  where: string,
): z.infer<Schema> {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  const described = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }) as JsonSchema
  const mistakes = result.error.issues.flatMap((issue) => describeIssue(issue, described))
  throw new HdpoError('ERR_CONFIG', mistakes.map((mistake) => `${where}: ${mistake}`).join('\n'))
}

async function readConfigFile(path: string): Promise<unknown> {
  const extension = extname(path)
  if (moduleExtensions.includes(extension)) return importDefault(path)
  if (!yamlExtensions.includes(extension)) {
    const allowed = [...yamlExtensions, ...moduleExtensions].join(', ')
    throw new HdpoError('ERR_CONFIG', `${path}: a config file ends in one of ${allowed}; got "${extension}"`)
  }
  try {
    return parseYaml(await readFile(path, 'utf8'))
  } catch (error) {
    const reason =
      error instanceof YAMLParseError ? `is not YAML: ${error.message}` : (error as Error).message
    throw new HdpoError('ERR_CONFIG', `${path}: ${reason}`, { cause: error })
  }
}

/**
 * The default export of a module, TypeScript included. It shares this process's modules: what it imports of
 * hdpo is this hdpo.
 */
export async function importDefault(path: string): Promise<unknown> {
  const unregister = register()
  let module: { default?: unknown }
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown }
  } catch (error) {
    throw new HdpoError('ERR_CONFIG', `${path}: ${(error as Error).message}`, { cause: error })
  } finally {
    await unregister()
  }
  const exported = unwrapCommonJs(module.default)
  if (exported === undefined) throw new HdpoError('ERR_CONFIG', `${path}: has no default export`)
  return exported
}

/**
 * Outside of "type": "module", `export default` is compiled to exports.default, and the import's default is
 * all of exports.
 */
function unwrapCommonJs(exported: unknown): unknown {
  const isCompiled = typeof exported === 'object' && exported !== null && '__esModule' in exported
  return isCompiled ? (exported as { default?: unknown }).default : exported
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>
  required?: string[]
  anyOf?: JsonSchema[]
}

function describeIssue(issue: z.core.$ZodIssue, schema: JsonSchema): string[] {
  const key = issue.path.map(String).join('.')
  const given = `; got ${show(issue.input)}`
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((unknown) => describeUnknownKey(unknown, issue.path, schema))
    case 'invalid_value':
      return [`${key} must be one of ${issue.values.map(String).join(', ')}${given}`]
    case 'invalid_type':
      if (key === '') return [`must hold a mapping of keys to values${given}`]
      if (issue.input === undefined) return [`${key} is missing; it must be ${article(issue.expected)}`]
      return [`${key} must be ${article(issue.expected)}${given}`]
    case 'too_small':
      return [`${key} must be ${issue.inclusive ? 'at least' : 'greater than'} ${issue.minimum}${given}`]
    case 'too_big':
      return [`${key} must be ${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}${given}`]
    case 'invalid_union':
      return describeUnion(issue, schema) ?? [`${key} ${unionMessage(issue)}${given}`]
    default:
      return [`${key}: ${issue.message}${given}`]
  }
}

/**
 * Of a value that may have several forms, the mistakes inside the form it has: the one that objects to nothing about the value
 * as a whole. Undefined where it has none of them.
 */
function describeUnion(issue: z.core.$ZodIssueInvalidUnion, schema: JsonSchema): string[] | undefined {
  const form =
    issue.errors.find((issues) => issues.every(({ path }) => path.length > 0)) ??
    issue.errors.find((issues) =>
      issues.every(({ code }) => code === 'unrecognized_keys' || code === 'custom'),
    )
  return form?.flatMap((inner) => {
    const placed = { ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue
    return describeIssue(placed, schema)
  })
}

function unionMessage({ errors }: z.core.$ZodIssueInvalidUnion): string {
  const forms = errors
    .flat()
    .map((inner) => (inner.code === 'invalid_type' ? article(inner.expected) : inner.message))
    .map((message) => message.replace(/^must be /, ''))
  return `must be ${[...new Set(forms)].join(' or ')}`
}

function describeUnknownKey(unknown: string, path: PropertyKey[], schema: JsonSchema): string {
  const place = path.reduce<JsonSchema>((at, key) => propertiesOf(at)[String(key)] ?? {}, schema)
  const allowed = Object.keys(propertiesOf(place))
  const near = nearest(unknown, allowed)
  const hint = near
    ? `did you mean ${[...path, near].map(String).join('.')}?`
    : `known keys: ${allowed.join(', ')}`
  return `unknown key ${[...path, unknown].map(String).join('.')}; ${hint}`
}

/** Of all forms that a value may have. */
function propertiesOf({ properties, anyOf = [] }: JsonSchema): Record<string, JsonSchema> {
  return Object.assign({}, properties, ...anyOf.map(propertiesOf))
}

/** The candidate that `word` looks like a misspelling of. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const [best] = ranked
  return best && best.edits <= Math.max(2, Math.floor(word.length / 3)) ? best.candidate : undefined
}

function article(type: string): string {
  const name = type === 'int' ? 'whole number' : type === 'record' || type === 'object' ? 'mapping' : type
  return `${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
