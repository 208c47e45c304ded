// Converts messages of a request to messages of a conversation, each with a key that recognises the history when the client sends
// it again. Clients re-serialise messages: they parse and print arguments, trim text, change the ids of calls, and put thoughts
// into a field of their own. A key is therefore made of a message's content, not of its exact text.

import { ExactNumber } from '../core/exact-number.js'
import { isRecord } from '../core/is-record.js'
import { describeMistake, type OptionMistake } from '../core/option-error.js'
import { ApiError } from '../http/api-error.js'
import { joinThoughts, splitThought, withoutTags } from '../policy/calls/thoughts.js'
import { readMessages } from '../policy/messages/read-messages.js'
import type { Message, ToolCall } from '../policy/types.js'

export interface ChatMessage {
  /** Without ids, which clients choose. */
  message: Message
  key: string
  /** The ids of the calls, in an assistant message. */
  callIds: string[]
  /** The id of the call, in a tool message. */
  callId?: string
}

/** Results that follow an assistant message are put in the order of its calls, because most templates write no ids. */
export function parseMessages(value: unknown): ChatMessage[] {
  return readMessages(value, { fail: refuse, strict: true }).map(toChatMessage)
}

/** The error for a request with a wrong field. */
export function refuse(mistake: OptionMistake): never {
  throw new ApiError(400, describeMistake(mistake), { param: mistake.option })
}

function toChatMessage({ callId, ...given }: Message): ChatMessage {
  const callIds = (given.toolCalls ?? []).map(({ id }) => id as string)
  const toolCalls = given.toolCalls?.map(({ name, arguments: input }) => ({ name, arguments: input }))
  const message: Message = { ...given, ...(toolCalls && { toolCalls }) }
  const { role, content, thought } = message
  const key = role === 'assistant' ? assistantKey(content, toolCalls ?? [], thought) : messageKey(message)
  return { message, key, callIds, ...(callId !== undefined && { callId }) }
}

/**
 * The key of an assistant message. It is the same whether the policy has just written it or a client sends it back, and wherever
 * the thought stands: at the beginning of the content, with or without its opening tag, or in `thought`.
 */
export function assistantKey(content: string, toolCalls: readonly ToolCall[], thought = ''): string {
  const split = splitThought(content, thought === '' ? 'unknown' : false)
  const parts = [thought.trim(), withoutTags(split.thought), split.said.trim()]
  // A thought that was cut off may come back as the thought or as what was said.
  const text = joinThoughts(parts)
  return messageKey({ role: 'assistant', content: text, toolCalls: [...toolCalls] })
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
