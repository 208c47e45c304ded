// Keeps secrets out of what is written and of what a policy reads. The registry belongs to the process, because its environment
// holds the secrets. Secrets are environment variables whose names say so, values added with addSecret, and well-known token
// formats. Each value is also found URL-encoded and in base64.
import { ExactNumber } from './exact-number.js'
import { Described, InvalidOptionError } from './option-error.js'
import { secretFormats } from './secret-formats.js'

const redacted = '[redacted]'

// Shorter values would be found inside ordinary words.
const shortestSecret = 8
const secretName = /(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH)(?:_|$)/i

const added = new Set<string>()
let compiled: { environment: string; pattern: RegExp } | undefined

/** Names of the environment variables that hold a secret, judged by name. */
export function secretVariables(environment: NodeJS.ProcessEnv = process.env): string[] {
  return Object.keys(environment).filter((name) => secretName.test(name) && isLongEnough(environment[name]))
}

/** Whether an option of this name holds a secret, as far as the name tells: apiKey, token. */
export function isSecretName(name: string): boolean {
  return secretName.test(name.replaceAll(/([a-z])([A-Z])/g, '$1_$2'))
}

/** From now on `value` is replaced wherever redact() looks. Values under 8 characters are refused (InvalidOptionError): they would hide words. */
export function addSecret(value: string, name = 'secret'): void {
  if (!isLongEnough(value)) {
    const given = new Described(typeof value === 'string' ? `${value.length} characters` : typeof value)
    throw new InvalidOptionError(name, `text of at least ${shortestSecret} characters`, given)
  }
  added.add(value)
  compiled = undefined
}

/**
 * Adds the values of environment variables. Throws InvalidOptionError for a variable that is not set, because a misspelt name
 * would leave its secret unprotected.
 */
export function addSecretVariables(names: readonly string[], environment = process.env): void {
  for (const name of names) {
    const value = environment[name]
    if (value === undefined) {
      throw new InvalidOptionError('secrets', 'names of variables that the environment has', name)
    }
    addSecret(value, `secrets: the variable ${name}`)
  }
}

/** `text` with every known secret replaced by "[redacted]". */
export function redact(text: string): string {
  return text.replace(secretPattern(), redacted)
}

/** A JSON value (or anything JSON.stringify takes) with every string in it redacted, keys included. */
export function redactValue<Value>(value: Value): Value {
  return replaceIn(value, secretPattern()) as Value
}

/** Whether redactValue would change anything. */
export function containsSecret(value: unknown): boolean {
  return foundIn(value, secretPattern())
}

function foundIn(value: unknown, pattern: RegExp): boolean {
  // search() ignores the lastIndex that a global pattern keeps.
  if (typeof value === 'string') return value.search(pattern) !== -1
  if (!isTree(value)) return false
  if (Array.isArray(value)) return value.some((inner) => foundIn(inner, pattern))
  return Object.entries(value).some(([key, inner]) => foundIn(key, pattern) || foundIn(inner, pattern))
}

/** Whether a value holds others that are looked through: numbers, as they were written and in typed arrays, are no secrets. */
function isTree(value: unknown): value is object {
  const isNumbers = ArrayBuffer.isView(value) || value instanceof ExactNumber
  return typeof value === 'object' && value !== null && !isNumbers
}

function replaceIn(value: unknown, pattern: RegExp): unknown {
  if (typeof value === 'string') return value.replace(pattern, redacted)
  if (!isTree(value)) return value
  if (Array.isArray(value)) return value.map((inner) => replaceIn(inner, pattern))
  const entries = Object.entries(value).map(([key, inner]) => [
    key.replace(pattern, redacted),
    replaceIn(inner, pattern),
  ])
  return Object.fromEntries(entries)
}

function secretPattern(): RegExp {
  const values = [...new Set([...secretVariables().map((name) => process.env[name] as string), ...added])]
  const environment = values.join('\0')
  if (compiled?.environment === environment) return compiled.pattern
  // Longest first, so that no secret is cut by another one inside it.
  const forms = values.flatMap(formsOf).sort((a, b) => b.length - a.length)
  compiled = {
    environment,
    pattern: new RegExp([...forms.map(escapePattern), ...secretFormats].join('|'), 'g'),
  }
  return compiled.pattern
}

function formsOf(value: string): string[] {
  const bytes = Buffer.from(value)
  return [
    ...new Set([value, encodeURIComponent(value), bytes.toString('base64'), bytes.toString('base64url')]),
  ]
}

function isLongEnough(value: unknown): boolean {
  return typeof value === 'string' && value.trim().length >= shortestSecret
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}
