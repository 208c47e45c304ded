// Converts messages of a request to messages of a conversation, each with a key that recognises the history when the client sends
// it again. Clients re-serialise messages: they parse and print arguments, trim text and change the ids of calls. A key is
// therefore made of a message's content, not of its exact text.

import { parseJsonKeeping } from '../core/exact-json.js'
import { ExactNumber } from '../core/exact-number.js'
import { isRecord } from '../core/is-record.js'
import { invalid } from '../http/api-error.js'
import type { Message, ToolCall } from '../policy/types.js'

export interface ChatMessage {
  message: Message
  key: string
  /** The ids of the calls, in an assistant message. */
  callIds: string[]
  /** The id of the call, in a tool message. */
  callId?: string
}

/** Results that follow an assistant message are put in the order of its calls, because most templates write no ids. */
export function parseMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw invalid('messages', `must be a list of at least one message, got ${JSON.stringify(value)}`)
  }
  const parsed: ChatMessage[] = []
  for (const [index, message] of value.entries()) {
    parsed.push(parseMessage(message, `messages[${index}]`, parsed))
  }
  return orderResults(parsed)
}

/** The key of an assistant message; it is the same whether the policy has just written it or a client sends it back. */
export function assistantKey(content: string, toolCalls: readonly ToolCall[]): string {
  return messageKey({ role: 'assistant', content: content.trim(), toolCalls: [...toolCalls] })
}

function parseMessage(value: unknown, param: string, before: readonly ChatMessage[]): ChatMessage {
  if (!isRecord(value)) throw invalid(param, `must be an object, got ${JSON.stringify(value)}`)
  switch (value.role) {
    case 'system':
    case 'developer':
      return plainMessage('system', value, param)
    case 'user':
      return plainMessage('user', value, param)
    case 'assistant':
      return assistantMessage(value, param)
    case 'tool':
      return toolMessage(value, param, before)
    default:
      throw invalid(
        `${param}.role`,
        `must be system, developer, user, assistant or tool, got ${JSON.stringify(value.role)}`,
      )
  }
}

function plainMessage(role: 'system' | 'user', value: Record<string, unknown>, param: string): ChatMessage {
  refuseOthers(value, param, ['role', 'content', 'name'])
  const message: Message = { role, content: textOf(value.content, `${param}.content`) }
  if (typeof value.name === 'string') message.name = value.name
  return { message, key: messageKey(message), callIds: [] }
}

function assistantMessage(value: Record<string, unknown>, param: string): ChatMessage {
  refuseOthers(value, param, ['role', 'content', 'name', 'tool_calls'])
  const calls = parseCalls(value.tool_calls, `${param}.tool_calls`)
  if (calls.length === 0 && value.content == null) {
    throw invalid(`${param}.content`, 'an assistant message needs content or tool_calls')
  }
  const content = value.content == null ? '' : textOf(value.content, `${param}.content`)
  const toolCalls = calls.map(({ call }) => call)
  const message: Message = { role: 'assistant', content, ...(toolCalls.length > 0 && { toolCalls }) }
  return { message, key: assistantKey(content, toolCalls), callIds: calls.map(({ id }) => id) }
}

function toolMessage(
  value: Record<string, unknown>,
  param: string,
  before: readonly ChatMessage[],
): ChatMessage {
  refuseOthers(value, param, ['role', 'content', 'name', 'tool_call_id'])
  const callId = value.tool_call_id
  if (typeof callId !== 'string') {
    throw invalid(`${param}.tool_call_id`, `must be text, got ${JSON.stringify(callId)}`)
  }
  const asked = before.findLast(({ callIds }) => callIds.includes(callId))
  const call = asked?.message.toolCalls?.[asked.callIds.indexOf(callId)]
  if (!call) throw invalid(`${param}.tool_call_id`, `no assistant message before it has a call "${callId}"`)
  const message: Message = {
    role: 'tool',
    content: textOf(value.content, `${param}.content`),
    name: call.name,
  }
  return { message, key: messageKey(message), callIds: [], callId }
}

function parseCalls(value: unknown, param: string): { id: string; call: ToolCall }[] {
  if (value == null) return []
  if (!Array.isArray(value)) throw invalid(param, `must be a list, got ${JSON.stringify(value)}`)
  return value.map((call: unknown, index) => parseCall(call, `${param}[${index}]`))
}

function parseCall(value: unknown, param: string): { id: string; call: ToolCall } {
  const made = isRecord(value) ? value.function : undefined
  if (!isRecord(value) || !isRecord(made) || typeof value.id !== 'string' || typeof made.name !== 'string') {
    throw invalid(param, 'must be { id, type: "function", function: { name, arguments } }')
  }
  if (typeof made.arguments !== 'string') {
    throw invalid(`${param}.function.arguments`, `must be JSON text, got ${JSON.stringify(made.arguments)}`)
  }
  return { id: value.id, call: { name: made.name, arguments: parseArguments(made.arguments) } }
}

/** Arguments that are no JSON stay text: a client may keep a malformed call of another model. */
function parseArguments(text: string): unknown {
  try {
    return parseJsonKeeping(text === '' ? '{}' : text, 'text')
  } catch {
    return text
  }
}

function textOf(content: unknown, param: string): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) {
    throw invalid(param, `must be text or a list of text parts, got ${JSON.stringify(content)}`)
  }
  return content.map((part: unknown, index) => partText(part, `${param}[${index}]`)).join('')
}

function partText(part: unknown, param: string): string {
  if (isRecord(part) && part.type === 'text' && typeof part.text === 'string') return part.text
  const type = isRecord(part) ? part.type : part
  throw invalid(param, `this policy reads text only, got a part of type ${JSON.stringify(type)}`)
}

/** Refuses unknown keys, except empty ones (null, empty list or text), because SDKs send back whole response messages. */
function refuseOthers(value: Record<string, unknown>, param: string, known: readonly string[]): void {
  for (const [key, given] of Object.entries(value)) {
    const empty = given == null || given === '' || (Array.isArray(given) && given.length === 0)
    if (!known.includes(key) && !empty) throw invalid(`${param}.${key}`, 'is not supported')
  }
}

function orderResults(messages: readonly ChatMessage[]): ChatMessage[] {
  const ordered = [...messages]
  for (const [index, { callIds }] of messages.entries()) {
    if (callIds.length < 2) continue
    let end = index + 1
    while (messages[end]?.message.role === 'tool') end++
    const place = ({ callId }: ChatMessage) => callIds.indexOf(callId as string)
    ordered.splice(
      index + 1,
      end - index - 1,
      ...messages.slice(index + 1, end).sort((a, b) => place(a) - place(b)),
    )
  }
  return ordered
}

function messageKey({ role, content, name, toolCalls = [] }: Message): string {
  const calls = toolCalls.map((call) => [call.name, canonical(call.arguments)])
  return JSON.stringify([role, name ?? null, content, calls])
}

/** A JSON value with sorted keys, so that equal values print equally. */
export function canonical(value: unknown): unknown {
  if (value instanceof ExactNumber) return value.toJSON()
  if (Array.isArray(value)) return value.map(canonical)
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, canonical(value[key])]),
  )
}
