// Keeps secrets out of what is written and of what a policy reads. The registry belongs to the process, because its environment
// holds the secrets. Secrets are environment variables whose names say so, passwords in addresses, values added with addSecret,
// and well-known formats of tokens; secret-finder.ts says in which forms they are found.
import { ExactNumber } from './exact-number.js'
import { createSecretFinder, type Places } from './secret-finder.js'
import { secretsIn } from './secret-names.js'

type Find = (text: string) => Places

const redacted = '[redacted]'
const added = new Set<string>()
let known: { secrets: string; find: Find } | undefined

/** From now on `value` is a secret. addSecret in secrets.ts checks it first. */
export function registerSecret(value: string): void {
  added.add(value)
}

/** `text` with every known secret replaced by "[redacted]". */
export function redact(text: string): string {
  return redactWith(finder(), text)
}

/**
 * A value with every string in it redacted, keys included, before anything writes it: in JSON a quote of a password is another text.
 * Objects are taken as JSON.stringify takes them (toJSON).
 */
export function redactValue<Value>(value: Value): Value {
  return replaceIn(value, finder()) as Value
}

/** Whether redactValue would change anything. */
export function containsSecret(value: unknown): boolean {
  return foundIn(value, finder())
}

function redactWith(find: Find, text: string): string {
  let clean = ''
  let end = 0
  for (const [start, next] of find(text)) {
    clean += text.slice(end, start) + redacted
    end = next
  }
  return end === 0 ? text : clean + text.slice(end)
}

function foundIn(value: unknown, find: Find): boolean {
  if (typeof value === 'string') return find(value).length > 0
  if (!isTree(value)) return false
  const written = asWritten(value)
  if (written !== value) return foundIn(written, find)
  if (Array.isArray(value)) return value.some((inner) => foundIn(inner, find))
  return Object.entries(value).some(([key, inner]) => find(key).length > 0 || foundIn(inner, find))
}

function replaceIn(value: unknown, find: Find): unknown {
  if (typeof value === 'string') return redactWith(find, value)
  if (!isTree(value)) return value
  const written = asWritten(value)
  if (written !== value) return replaceIn(written, find)
  if (Array.isArray(value)) return value.map((inner) => replaceIn(inner, find))
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [redactWith(find, key), replaceIn(inner, find)]),
  )
}

/** Whether a value holds others that are looked through: numbers, as they were written and in typed arrays, are no secrets. */
function isTree(value: unknown): value is object {
  const isNumbers = ArrayBuffer.isView(value) || value instanceof ExactNumber
  return typeof value === 'object' && value !== null && !isNumbers
}

/** What JSON.stringify writes of an object: a Date is text. */
function asWritten(value: object): unknown {
  const { toJSON } = value as { toJSON?: unknown }
  return typeof toJSON === 'function' ? toJSON.call(value) : value
}

function finder(): Find {
  const values = [...new Set([...secretsIn(process.env), ...added])]
  const secrets = values.join('\0')
  if (known?.secrets !== secrets) known = { secrets, find: createSecretFinder(values) }
  return known.find
}
