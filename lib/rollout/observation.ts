// A call's result as the text that the policy reads.
import { ToolOutput } from '../tools/tool-output.js'

/**
 * Strings as they are, a ToolOutput as its text, everything else as JSON (undefined as null). Throws where JSON
 * has no form of it, and for images without text.
 */
export function formatResult(result: unknown): string {
  if (typeof result === 'string') return result
  if (result instanceof ToolOutput) return result.toText()
  return JSON.stringify(result) ?? 'null'
}

/** At most `limit` characters of the text, with a note of how much there was. */
export function truncate(text: string, limit: number): string {
  if (text.length <= limit) return text
  // Half a surrogate pair is no character.
  const end = /[\uD800-\uDBFF]/.test(text.charAt(limit - 1)) ? limit - 1 : limit
  return `${text.slice(0, end)}\n[truncated: the first ${end} of ${text.length} characters]`
}
