// OpenLLMetry's numbered attributes: gen_ai.prompt.0.role, gen_ai.prompt.1.tool_calls.0.name, gen_ai.completion.0.content.

import { isRecord } from '../core/is-record.js'
import { reasoningFields } from '../policy/messages/reasoning.js'
import type { Attributes } from './otlp-values.js'
import type { WrittenMessage } from './written-message.js'

/** The messages, undefined if there are none. */
export function fromFlatAttributes(attributes: Attributes): WrittenMessage[] | undefined {
  const prompt = numbered(attributes, 'gen_ai.prompt.')
  const completion = numbered(attributes, 'gen_ai.completion.').slice(0, 1)
  if (prompt.length === 0) return undefined
  return [
    ...prompt,
    ...completion.map(({ message, name }) => ({ message: { role: 'assistant', ...message }, name })),
  ]
}

function numbered(attributes: Attributes, prefix: string): WrittenMessage[] {
  const messages: Record<string, Record<string, unknown>> = {}
  for (const [key, value] of Object.entries(attributes)) {
    const [, number, field] = key.startsWith(prefix)
      ? (/^(\d+)\.(.+)$/.exec(key.slice(prefix.length)) ?? [])
      : []
    if (number === undefined || field === undefined) continue
    messages[number] ??= {}
    messages[number][field] = value
  }
  return Object.keys(messages)
    .sort((a, b) => Number(a) - Number(b))
    .map((number) => ({
      message: toMessage(messages[number] as Record<string, unknown>),
      name: prefix + number,
    }))
}

function toMessage(fields: Record<string, unknown>): Record<string, unknown> {
  const calls: Record<string, unknown>[] = []
  for (const [key, value] of Object.entries(fields)) {
    const [, number, field] = /^tool_calls\.(\d+)\.(?:function\.)?(\w+)$/.exec(key) ?? []
    if (number === undefined || field === undefined) continue
    calls[Number(number)] ??= {}
    Object.assign(calls[Number(number)] as object, { [field]: value })
  }
  const { role, content, tool_call_id: id, name } = fields
  const thoughts = reasoningFields.filter((field) => fields[field] !== undefined)
  return {
    ...(role !== undefined && { role }),
    content: content ?? '',
    ...Object.fromEntries(thoughts.map((field) => [field, fields[field]])),
    ...(id !== undefined && { tool_call_id: id }),
    ...(name !== undefined && { name }),
    ...(calls.length > 0 && {
      tool_calls: calls.filter(isRecord).map((call) => ({ id: call.id, function: call })),
    }),
  }
}
