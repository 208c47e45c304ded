// Messages of the current GenAI conventions: { role, parts: [{ type: 'text', content } | { type: 'tool_call', id, name,
// arguments } | { type: 'tool_call_response', id, response }] }.

import { jsonText } from '../core/exact-json.js'
import { isRecord } from '../core/is-record.js'
import type { Message, ToolCall } from '../policy/types.js'
import { UnusableTrace } from './conversation.js'
import { describe, parseArguments } from './json-value.js'
import { parseIfText } from './otlp-values.js'

export function fromParts(value: unknown, where: string): Message[] {
  const messages = parseIfText(value)
  if (!Array.isArray(messages))
    throw new UnusableTrace(`${where} must be a list of messages, got ${describe(messages)}`)
  const nameOfCall = new Map<string, string>()
  return messages.flatMap((message: unknown, index) => readMessage(message, `${where}[${index}]`, nameOfCall))
}

export function readSystem(value: unknown): Message[] {
  if (value === undefined) return []
  const parts = parseIfText(value)
  const content =
    typeof parts === 'string' ? parts : (Array.isArray(parts) ? parts : []).map(partText).join('\n')
  return content === '' ? [] : [{ role: 'system', content }]
}

function readMessage(value: unknown, where: string, nameOfCall: Map<string, string>): Message[] {
  if (!isRecord(value)) throw new UnusableTrace(`${where} must be an object, got ${describe(value)}`)
  const parts = Array.isArray(value.parts) ? value.parts : [{ type: 'text', content: value.content ?? '' }]
  const content = parts.map(partText).join('')
  switch (value.role) {
    case 'system':
    case 'developer':
      return [{ role: 'system', content }]
    case 'user':
      // Some APIs send tools' results as a user's message.
      return [...results(parts, nameOfCall), ...(content === '' ? [] : [{ role: 'user' as const, content }])]
    case 'assistant': {
      const toolCalls = parts.flatMap((part: unknown) => callOf(part, where, nameOfCall))
      return [{ role: 'assistant', content, ...(toolCalls.length > 0 && { toolCalls }) }]
    }
    case 'tool':
      return results(parts, nameOfCall)
    default:
      throw new UnusableTrace(
        `${where}.role must be system, user, assistant or tool, got ${describe(value.role)}`,
      )
  }
}

/** Reasoning is left out: another model's thoughts are not part of what it said. */
function partText(part: unknown): string {
  if (!isRecord(part)) return ''
  if (part.type === 'text' || part.type === undefined) return String(part.content ?? part.text ?? '')
  if (part.type === 'reasoning' || part.type === 'tool_call' || part.type === 'tool_call_response') return ''
  throw new UnusableTrace(`the policy reads text only, got a part of type ${describe(part.type)}`)
}

function callOf(part: unknown, where: string, nameOfCall: Map<string, string>): ToolCall[] {
  if (!isRecord(part) || part.type !== 'tool_call') return []
  if (typeof part.name !== 'string') throw new UnusableTrace(`${where}: a tool call has no name`)
  if (typeof part.id === 'string') nameOfCall.set(part.id, part.name)
  return [{ name: part.name, arguments: parseArguments(part.arguments, where) }]
}

function results(parts: readonly unknown[], nameOfCall: ReadonlyMap<string, string>): Message[] {
  return parts.flatMap((part): Message[] => {
    if (!isRecord(part) || part.type !== 'tool_call_response') return []
    const response = part.response ?? part.result ?? ''
    const name = nameOfCall.get(String(part.id))
    const content = typeof response === 'string' ? response : (jsonText(response) ?? '')
    return [{ role: 'tool', content, ...(name !== undefined && { name }) }]
  })
}
