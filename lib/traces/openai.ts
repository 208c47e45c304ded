// Conversations in OpenAI's chat format, in which people log and fine-tune: { messages, tools? }. Many programs write it, so
// it is read leniently: further keys are ignored, legacy function calls and missing call ids are understood.

import { isRecord } from '../core/is-record.js'
import type { Message, ToolCall, ToolDescription } from '../policy/types.js'
import {
  finishConversation,
  type ImportedConversation,
  type ImportOptions,
  UnusableTrace,
} from './conversation.js'
import { describe, parseArguments } from './json-value.js'
import { parseIfText } from './otlp-values.js'

export function fromOpenAi(value: unknown, options: ImportOptions = {}): ImportedConversation {
  if (!isRecord(value) || !Array.isArray(value.messages) || value.messages.length === 0) {
    throw new UnusableTrace(`must be { messages: [...] }, got ${describe(value)}`)
  }
  return finishConversation(
    fromOpenAiMessages(value.messages),
    readTools(value.tools ?? value.functions),
    options,
  )
}

export function fromOpenAiMessages(messages: readonly unknown[]): Message[] {
  const nameOfCall = new Map<string, string>()
  return messages.map((message, index) => readMessage(message, `messages[${index}]`, nameOfCall))
}

function readMessage(value: unknown, where: string, nameOfCall: Map<string, string>): Message {
  if (!isRecord(value)) throw new UnusableTrace(`${where} must be an object, got ${describe(value)}`)
  const content = textOf(value.content ?? '', `${where}.content`)
  switch (value.role) {
    case 'system':
    case 'developer':
      return { role: 'system', content }
    case 'user':
      return { role: 'user', content }
    case 'assistant':
      return assistantMessage(value, content, where, nameOfCall)
    case 'tool':
    case 'function': {
      const name = value.name ?? nameOfCall.get(String(value.tool_call_id))
      return { role: 'tool', content, ...(typeof name === 'string' && { name }) }
    }
    default:
      throw new UnusableTrace(
        `${where}.role must be system, developer, user, assistant, tool or function, got ${describe(value.role)}`,
      )
  }
}

function assistantMessage(
  value: Record<string, unknown>,
  content: string,
  where: string,
  nameOfCall: Map<string, string>,
): Message {
  const given = value.tool_calls ?? (value.function_call ? [{ function: value.function_call }] : [])
  if (!Array.isArray(given))
    throw new UnusableTrace(`${where}.tool_calls must be a list, got ${describe(given)}`)
  const toolCalls = given.map((call: unknown, index): ToolCall => {
    const made = isRecord(call) ? call.function : undefined
    if (!isRecord(made) || typeof made.name !== 'string') {
      throw new UnusableTrace(
        `${where}.tool_calls[${index}] must be { function: { name, arguments } }, got ${describe(call)}`,
      )
    }
    if (isRecord(call) && typeof call.id === 'string') nameOfCall.set(call.id, made.name)
    return { name: made.name, arguments: parseArguments(made.arguments, `${where}.tool_calls[${index}]`) }
  })
  return { role: 'assistant', content, ...(toolCalls.length > 0 && { toolCalls }) }
}

function textOf(content: unknown, where: string): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content))
    throw new UnusableTrace(`${where} must be text or a list of parts, got ${describe(content)}`)
  return content
    .map((part: unknown) => {
      if (typeof part === 'string') return part
      if (isRecord(part) && typeof part.text === 'string') return part.text
      if (isRecord(part) && typeof part.refusal === 'string') return part.refusal
      throw new UnusableTrace(
        `${where}: the policy reads text only, got a part of type ${describe(isRecord(part) ? part.type : part)}`,
      )
    })
    .join('')
}

/** Tools { type: 'function', function: { name, description, parameters } }, or the part inside, as a list or its JSON text; undefined without any. */
export function readTools(value: unknown): ToolDescription[] | undefined {
  const tools = parseIfText(value)
  if (!Array.isArray(tools)) return undefined
  return tools.map((tool: unknown, index) => {
    const inner = isRecord(tool) && isRecord(tool.function) ? tool.function : tool
    if (!isRecord(inner) || typeof inner.name !== 'string') {
      throw new UnusableTrace(`tools[${index}] must have a name, got ${describe(tool)}`)
    }
    return {
      name: inner.name,
      description: typeof inner.description === 'string' ? inner.description : '',
      parameters: isRecord(inner.parameters) ? inner.parameters : { type: 'object', properties: {} },
    }
  })
}
