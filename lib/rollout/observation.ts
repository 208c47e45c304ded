// A call's result as the text that the policy reads.
import { isRecord } from '../core/is-record.js'
import { redact } from '../core/redact.js'
import { ToolOutput } from '../tools/tool-output.js'

/**
 * Strings stay as they are, a ToolOutput becomes its text, everything else JSON (undefined: null). Throws for
 * values that JSON cannot hold, and for images without text. Secrets in a value are redacted before it becomes JSON.
 */
export function formatResult(result: unknown): string {
  if (typeof result === 'string') return result
  if (result instanceof ToolOutput) return result.toText()
  return JSON.stringify(result, redactKeysAndTexts) ?? 'null'
}

/** JSON.stringify has asked toJSON already, and refuses a value that holds itself. */
function redactKeysAndTexts(_key: string, value: unknown): unknown {
  if (typeof value === 'string') return redact(value)
  if (!isRecord(value)) return value
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [redact(key), inner])
  return entries.every(([key], index) => key === Object.keys(value)[index])
    ? value
    : Object.fromEntries(entries)
}

/** At most `limit` characters of the text, with a note of how much there was. */
export function truncate(text: string, limit: number): string {
  if (text.length <= limit) return text
  // The cut must not leave half a surrogate pair, which is no character.
  const end = /[\uD800-\uDBFF]/.test(text.charAt(limit - 1)) ? limit - 1 : limit
  return `${text.slice(0, end)}\n[truncated: the first ${end} of ${text.length} characters]`
}
