// Thoughts that an API keeps apart from the content of an assistant's message: reasoning_content (DeepSeek, Kimi, Qwen, vLLM),
// reasoning and reasoning_details (OpenRouter, newer vLLM), thinking (Ollama).
import { isRecord } from '../../core/is-record.js'
import type { Fail } from './message-reading.js'

/** The fields in the order in which they are believed: a message may have the same thought in several. */
export const reasoningFields = [
  'reasoning_content',
  'reasoning',
  'thinking',
  'thought',
  'reasoning_details',
] as const

/** The thought; '' where the message has none, or none that can be read (encrypted ones). */
export function readThought(message: Record<string, unknown>, option: string, fail: Fail): string {
  for (const field of reasoningFields) {
    const value = message[field]
    if (value === undefined || value === null) continue
    const text = thoughtText(value)
    if (text === undefined) {
      return fail({ option: `${option}.${field}`, expected: 'text or a list of parts', given: value })
    }
    if (text.trim() !== '') return text
  }
  return ''
}

/** A thought's text, from the text itself, a part or a list of parts; undefined for what has another form. */
export function thoughtText(value: unknown, levels = 6): string | undefined {
  if (typeof value === 'string') return value
  if (levels === 0 || (typeof value !== 'object' && value !== undefined)) return undefined
  if (Array.isArray(value)) {
    const texts = value.map((part: unknown) => thoughtText(part, levels - 1))
    return texts.includes(undefined) ? undefined : texts.join('')
  }
  // Encrypted parts have no text.
  if (!isRecord(value)) return ''
  const inner = [value.thinking, value.text, value.reasoning, value.content, value.summary].find(
    (field) => field !== undefined && field !== null,
  )
  return thoughtText(inner, levels - 1)
}

/** As readThought, for replies: a field of a form that is not known is no thought. */
export function thoughtIn(message: Record<string, unknown>): string {
  const texts = reasoningFields.map((field) => thoughtText(message[field]) ?? '')
  return texts.find((text) => text.trim() !== '') ?? ''
}
