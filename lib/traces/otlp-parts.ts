// Messages of the current GenAI conventions: { role, parts: [{ type: 'text', content } | { type: 'reasoning', content } |
// { type: 'tool_call', id, name, arguments } | { type: 'tool_call_response', id, response }] }, put into OpenAI's form.

import { jsonText } from '../core/exact-json.js'
import { isRecord } from '../core/is-record.js'
import { unusable } from './openai.js'
import { parseIfText } from './otlp-values.js'
import type { WrittenMessage } from './written-message.js'

export function fromParts(value: unknown, name: string): WrittenMessage[] {
  const messages = parseIfText(value)
  if (!Array.isArray(messages)) unusable({ option: name, expected: 'a list of messages', given: messages })
  return messages.flatMap((message: unknown, index) => readMessage(message, `${name}[${index}]`))
}

export function readSystem(value: unknown): WrittenMessage[] {
  const name = 'gen_ai.system_instructions'
  if (value === undefined) return []
  const parts = parseIfText(value)
  const list = Array.isArray(parts) ? parts : []
  const content =
    typeof parts === 'string'
      ? parts
      : list.map((part, index) => partText(part, `${name}[${index}]`)).join('\n')
  return content === '' ? [] : [{ name, message: { role: 'system', content } }]
}

function readMessage(value: unknown, name: string): WrittenMessage[] {
  if (!isRecord(value)) unusable({ option: name, expected: 'an object', given: value })
  const { role } = value
  const parts: unknown[] = Array.isArray(value.parts)
    ? value.parts
    : [{ type: 'text', content: value.content ?? '' }]
  const content = parts.map((part, index) => partText(part, `${name}.parts[${index}]`)).join('')
  const answers = results(parts, name)
  const calls = parts.filter((part) => isRecord(part) && part.type === 'tool_call').map(toCall)
  if (role === 'tool') return answers
  // Some APIs send tools' results as a user's message.
  if (role === 'user') return [...answers, ...(content === '' ? [] : [{ name, message: { role, content } }])]
  const thought = parts.filter((part) => isRecord(part) && part.type === 'reasoning')
  return [
    {
      name,
      message: {
        role,
        content,
        ...(thought.length > 0 && { reasoning_content: thought }),
        ...(calls.length > 0 && { tool_calls: calls }),
      },
    },
  ]
}

function partText(part: unknown, name: string): string {
  if (!isRecord(part)) return ''
  if (part.type === 'text' || part.type === undefined) {
    const text = part.content ?? part.text ?? ''
    return typeof text === 'string'
      ? text
      : unusable({ option: `${name}.content`, expected: 'text', given: text })
  }
  if (otherParts.includes(part.type)) return ''
  const expected = 'text, because the policy reads text only'
  return unusable({ option: `${name}.type`, expected, given: part.type })
}

const otherParts: readonly unknown[] = ['reasoning', 'tool_call', 'tool_call_response']

function toCall(part: unknown): object {
  const { id, name, arguments: input } = part as Record<string, unknown>
  return { id, function: { name, arguments: input } }
}

function results(parts: readonly unknown[], name: string): WrittenMessage[] {
  return parts.flatMap((part): WrittenMessage[] => {
    if (!isRecord(part) || part.type !== 'tool_call_response') return []
    const response = part.response ?? part.result ?? ''
    const content = typeof response === 'string' ? response : (jsonText(response) ?? '')
    return [{ name, message: { role: 'tool', content, tool_call_id: part.id } }]
  })
}
