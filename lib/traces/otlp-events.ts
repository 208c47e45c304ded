// Messages as span events, one event per message: gen_ai.user.message { content } and similar ones, gen_ai.choice { message }.

import { jsonText } from '../core/exact-json.js'
import { isRecord } from '../core/is-record.js'
import { reasoningFields } from '../policy/messages/reasoning.js'
import { type Attributes, parseIfText } from './otlp-values.js'
import type { WrittenMessage } from './written-message.js'

const roles: Record<string, string> = {
  'gen_ai.system.message': 'system',
  'gen_ai.user.message': 'user',
  'gen_ai.assistant.message': 'assistant',
  'gen_ai.tool.message': 'tool',
}

/** The messages, undefined if no event is one of these. */
export function fromEvents(
  events: readonly { name: string; attributes: Attributes }[],
): WrittenMessage[] | undefined {
  const messages = events.flatMap(({ name, attributes }): WrittenMessage[] => {
    if (name === 'gen_ai.choice') return choice(attributes).map((message) => ({ name, message }))
    const role = roles[name]
    return role === undefined ? [] : [{ name, message: { ...fields(attributes), role } }]
  })
  return messages.length === 0 ? undefined : messages
}

/** If there are several choices, the agent went on with the first. */
function choice(attributes: Attributes): Record<string, unknown>[] {
  if (Number(attributes.index ?? 0) !== 0) return []
  const message = parseIfText(attributes.message)
  return [{ ...fields(attributes), ...(isRecord(message) && fields(message)), role: 'assistant' }]
}

function fields(attributes: Attributes): Record<string, unknown> {
  const { content, tool_calls: calls, id, name } = attributes
  const toolCalls = parseIfText(calls)
  const thoughts = reasoningFields.filter((field) => attributes[field] !== undefined)
  return {
    content: isContent(content) ? content : content === undefined ? '' : (jsonText(content) ?? ''),
    ...Object.fromEntries(thoughts.map((field) => [field, attributes[field]])),
    ...(Array.isArray(toolCalls) && { tool_calls: toolCalls }),
    ...(id !== undefined && { tool_call_id: id }),
    ...(name !== undefined && { name }),
  }
}

/** Text or parts; anything else is a tool's result that is no text. */
function isContent(content: unknown): boolean {
  if (typeof content === 'string') return true
  return Array.isArray(content) && content.every((part) => isRecord(part) && typeof part.type === 'string')
}
