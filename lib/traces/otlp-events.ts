// Messages as span events, one event per message: gen_ai.user.message { content } and similar ones, gen_ai.choice { message }.

import { jsonText } from '../core/exact-json.js'
import { isRecord } from '../core/is-record.js'
import type { Message } from '../policy/types.js'
import { fromOpenAiMessages } from './openai.js'
import { type Attributes, parseIfText } from './otlp-values.js'

const roles: Record<string, string> = {
  'gen_ai.system.message': 'system',
  'gen_ai.user.message': 'user',
  'gen_ai.assistant.message': 'assistant',
  'gen_ai.tool.message': 'tool',
}

/** The messages, undefined if no event is one of these. */
export function fromEvents(
  events: readonly { name: string; attributes: Attributes }[],
): Message[] | undefined {
  const messages = events.flatMap(({ name, attributes }) => {
    if (name === 'gen_ai.choice') return choice(attributes)
    const role = roles[name]
    return role === undefined ? [] : [{ ...fields(attributes), role }]
  })
  return messages.length === 0 ? undefined : fromOpenAiMessages(messages)
}

/** If there are several choices, the agent went on with the first. */
function choice(attributes: Attributes): object[] {
  if (Number(attributes.index ?? 0) !== 0) return []
  const message = parseIfText(attributes.message)
  return [{ ...fields(attributes), ...(isRecord(message) && fields(message)), role: 'assistant' }]
}

function fields({ content, tool_calls: calls, id, name }: Attributes): Record<string, unknown> {
  const toolCalls = parseIfText(calls)
  return {
    content: typeof content === 'string' ? content : content === undefined ? '' : (jsonText(content) ?? ''),
    ...(Array.isArray(toolCalls) && { tool_calls: toolCalls }),
    ...(id !== undefined && { tool_call_id: id }),
    ...(name !== undefined && { name }),
  }
}
