// OpenLLMetry's numbered attributes: gen_ai.prompt.0.role, gen_ai.prompt.1.tool_calls.0.name, gen_ai.completion.0.content.

import { isRecord } from '../core/is-record.js'
import type { Message } from '../policy/types.js'
import { fromOpenAiMessages } from './openai.js'
import type { Attributes } from './otlp-values.js'

/** The messages, undefined if there are none. */
export function fromFlatAttributes(attributes: Attributes): Message[] | undefined {
  const prompt = numbered(attributes, 'gen_ai.prompt.')
  const completion = numbered(attributes, 'gen_ai.completion.').slice(0, 1)
  if (prompt.length === 0) return undefined
  return fromOpenAiMessages([...prompt, ...completion.map((message) => ({ role: 'assistant', ...message }))])
}

function numbered(attributes: Attributes, prefix: string): object[] {
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
    .map((number) => toMessage(messages[number] as Record<string, unknown>))
}

function toMessage(fields: Record<string, unknown>): object {
  const calls: Record<string, unknown>[] = []
  for (const [key, value] of Object.entries(fields)) {
    const [, number, field] = /^tool_calls\.(\d+)\.(?:function\.)?(\w+)$/.exec(key) ?? []
    if (number === undefined || field === undefined) continue
    calls[Number(number)] ??= {}
    Object.assign(calls[Number(number)] as object, { [field]: value })
  }
  const { role, content, tool_call_id: id, name } = fields
  return {
    ...(role !== undefined && { role }),
    content: content ?? '',
    ...(id !== undefined && { tool_call_id: id }),
    ...(name !== undefined && { name }),
    ...(calls.length > 0 && {
      tool_calls: calls.filter(isRecord).map((call) => ({ id: call.id, function: call })),
    }),
  }
}
