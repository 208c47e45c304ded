// A call's result as the text that the policy reads.
import { ToolOutput } from '../tools/tool-output.js'

/**
 * Strings stay as they are, a ToolOutput becomes its text, everything else JSON (undefined: null). Throws for
 * values that JSON cannot hold, and for images without text.
 */
export function formatResult(result: unknown): string {
  if (typeof result === 'string') return result
  if (result instanceof ToolOutput) return result.toText()
  return JSON.stringify(result) ?? 'null'
}

/** At most `limit` characters of the text, with a note of how much there was. */
export function truncate(text: string, limit: number): string {
  if (text.length <= limit) return text
  // The cut must not leave half a surrogate pair, which is no character.
  const end = /[\uD800-\uDBFF]/.test(text.charAt(limit - 1)) ? limit - 1 : limit
  return `${text.slice(0, end)}\n[truncated: the first ${end} of ${text.length} characters]`
}
