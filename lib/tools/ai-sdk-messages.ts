// Converts a conversation for the Vercel AI SDK's tools: the messages that the model had been sent when it wrote the call,
// without the system message.
import type { ConversationMessage } from './types.js'

interface Part {
  type: string
  [key: string]: unknown
}

/** Assignable to the SDK's ModelMessage. */
interface AiSdkMessage {
  role: 'user' | 'assistant' | 'tool'
  content: string | Part[]
}

/** Calls have no ids here, so they are numbered; the results that follow come in the same order and get the same ids. */
export function toAiSdkMessages(messages: readonly ConversationMessage[]): AiSdkMessage[] {
  const converted: AiSdkMessage[] = []
  let count = 0
  let waiting: string[] = []
  for (const { role, content, name, toolCalls = [] } of messages) {
    if (role === 'user') converted.push({ role, content })
    if (role === 'assistant') {
      waiting = toolCalls.map(() => `call-${++count}`)
      converted.push({ role, content: toolCalls.length === 0 ? content : parts(content, toolCalls, waiting) })
    }
    if (role === 'tool') {
      // A call that could not be parsed is part of the assistant's text, so its result gets an id of its own.
      const toolCallId = waiting.shift() ?? `call-${++count}`
      const output = { type: 'text', value: content }
      converted.push({
        role,
        content: [{ type: 'tool-result', toolCallId, toolName: name ?? 'unknown', output }],
      })
    }
  }
  return converted
}

function parts(
  content: string,
  toolCalls: NonNullable<ConversationMessage['toolCalls']>,
  ids: readonly string[],
): Part[] {
  return [
    ...(content === '' ? [] : [{ type: 'text', text: content }]),
    ...toolCalls.map(({ name, arguments: input }, index) => ({
      type: 'tool-call',
      toolCallId: ids[index] as string,
      toolName: name,
      input,
    })),
  ]
}
