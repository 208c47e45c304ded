// How a chat template gets the thoughts that a log or a client keeps apart from the content (Message.thought).
import { thoughtBefore } from './calls/thoughts.js'
import type { Message } from './types.js'

/**
 * A field that the template reads; 'content' where it writes thoughts as <think>...</think>, which it finds in the content;
 * undefined where it has no form for thoughts, so that they are left out.
 */
export type ThoughtForm = { field: string } | 'content' | undefined

const ofMessage = String.raw`\b(?:message|msg|m|messages\[[^\]]*\])`

export function thoughtForm(template: string): ThoughtForm {
  if (/\breasoning_content\b/.test(template)) return { field: 'reasoning_content' }
  const field = ['reasoning', 'thinking'].find((name) =>
    new RegExp(`${ofMessage}(?:\\.${name}\\b|\\[['"]${name}['"]\\])`).test(template),
  )
  if (field !== undefined) return { field }
  return /<\/?think>/.test(template) ? 'content' : undefined
}

/** The fields of a message as the template gets them. */
export function thoughtFields({ content, thought }: Message, form: ThoughtForm): Record<string, string> {
  if (thought === undefined || form === undefined) return { content }
  if (form === 'content') return { content: thoughtBefore(thought, content) }
  return { content, [form.field]: thought.trim() }
}
