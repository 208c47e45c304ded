import { jsonText } from '../../core/exact-json.js'
import type { Message } from '../types.js'
import type { WireMessage, WireToolCall } from './read-reply.js'

/** Messages in the API's form. Results follow their calls in order, or name them. */
export function toWire(messages: readonly Message[], idOf: (given: unknown) => string): WireMessage[] {
  let waiting: { given: string | undefined; sent: string }[] = []
  return messages.map((message): WireMessage => {
    const { role, content, thought, toolCalls = [], callId } = message
    if (role === 'tool') {
      const place = waiting.findIndex(({ given }) => given !== undefined && given === callId)
      const [answered] = waiting.splice(Math.max(place, 0), 1)
      return { role, content, tool_call_id: answered?.sent ?? idOf(callId) }
    }
    const calls = toolCalls.map(
      ({ id, name, arguments: input }): WireToolCall => ({
        id: idOf(id),
        type: 'function',
        function: { name, arguments: jsonText(input) ?? '{}' },
      }),
    )
    waiting = calls.map(({ id }, index) => ({ given: toolCalls[index]?.id, sent: id }))
    return {
      role,
      content: content === '' && calls.length > 0 ? null : content,
      ...(thought !== undefined && { reasoning_content: thought }),
      ...(calls.length > 0 && { tool_calls: calls }),
    }
  })
}
