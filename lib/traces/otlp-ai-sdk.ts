// Spans of the Vercel AI SDK (experimental_telemetry): ai.prompt.messages, ai.response.text, ai.response.toolCalls and ai.prompt.tools on
// calls of a model, ai.generateText.doGenerate and ai.streamText.doStream. Messages have the SDK's own form, in versions 4 to 6; they are
// put into OpenAI's.

import { jsonText } from '../core/exact-json.js'
import { isRecord } from '../core/is-record.js'
import type { ToolDescription } from '../policy/types.js'
import { readTraceTools, unusable } from './openai.js'
import { type Attributes, parseIfText } from './otlp-values.js'
import type { WrittenMessage } from './written-message.js'

/** The messages, undefined if there are none: the spans around the model's calls repeat them, without results. */
export function fromAiSdkSpan(attributes: Attributes): WrittenMessage[] | undefined {
  const given = attributes['ai.prompt.messages']
  if (given === undefined) return undefined
  const messages = parseIfText(given)
  if (!Array.isArray(messages)) {
    unusable({ option: 'ai.prompt.messages', expected: 'a list of messages', given: messages })
  }
  const prompt = messages.flatMap((message: unknown, at) => readMessage(message, `ai.prompt.messages[${at}]`))
  return [...prompt, ...readResponse(attributes)]
}

export function aiSdkTools(attributes: Attributes): ToolDescription[] | undefined {
  const given = attributes['ai.prompt.tools']
  if (!Array.isArray(given)) return undefined
  const tools = given.map(parseIfText).filter(isRecord)
  return readTraceTools(tools.filter(({ type }) => type === 'function'))
}

function readResponse(attributes: Attributes): WrittenMessage[] {
  const content = String(attributes['ai.response.text'] ?? '')
  const thought = attributes['ai.response.reasoning']
  const calls = parseIfText(attributes['ai.response.toolCalls'] ?? [])
  const name = 'ai.response.toolCalls'
  if (!Array.isArray(calls)) unusable({ option: name, expected: 'a list', given: calls })
  if (content === '' && calls.length === 0) return []
  return [{ name: 'ai.response', message: assistant(content, thought, calls.map(toCall)) }]
}

function readMessage(value: unknown, name: string): WrittenMessage[] {
  if (!isRecord(value)) unusable({ option: name, expected: 'an object', given: value })
  const { role, content } = value
  const parts: unknown = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  if (!Array.isArray(parts)) unusable({ option: `${name}.content`, expected: 'text or parts', given: parts })
  if (role === 'tool') return parts.map((part, index) => readResult(part, `${name}.content[${index}]`))
  const text = parts.map((part, index) => partText(part, `${name}.content[${index}]`)).join('')
  if (role !== 'assistant') return [{ name, message: { role, content: text } }]
  const calls = ofType(parts, 'tool-call').map(toCall)
  const thoughts = ofType(parts, 'reasoning')
  return [{ name, message: assistant(text, thoughts.length > 0 ? thoughts : undefined, calls) }]
}

function assistant(content: string, thought: unknown, calls: readonly object[]): Record<string, unknown> {
  return {
    role: 'assistant',
    content,
    ...(thought !== undefined && { reasoning_content: thought }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

function ofType(parts: readonly unknown[], type: string): Record<string, unknown>[] {
  return parts.filter(isRecord).filter((part) => part.type === type)
}

function partText(part: unknown, name: string): string {
  if (!isRecord(part)) return ''
  if (part.type === 'text') return String(part.text ?? '')
  if (otherParts.includes(part.type)) return ''
  const expected = 'text, because the policy reads text only'
  return unusable({ option: `${name}.type`, expected, given: part.type })
}

const otherParts: readonly unknown[] = ['reasoning', 'tool-call', 'tool-result']

function toCall(call: unknown): object {
  const { toolCallId: id, toolName: name, input, args } = isRecord(call) ? call : {}
  return { id, function: { name, arguments: input ?? args } }
}

function readResult(part: unknown, option: string): WrittenMessage {
  if (!isRecord(part) || part.type !== 'tool-result' || typeof part.toolName !== 'string') {
    return unusable({ option, expected: 'a tool-result with its toolName', given: part })
  }
  const content = resultText(part.output ?? part.result, option)
  return {
    name: option,
    message: { role: 'tool', content, name: part.toolName, tool_call_id: part.toolCallId },
  }
}

/** The result as the model read it: { type: 'text' | 'json' | 'content' | ..., value }, or in version 4 the result itself. */
function resultText(output: unknown, name: string): string {
  if (!isRecord(output) || typeof output.type !== 'string' || !('value' in output)) return asText(output)
  if (output.type !== 'content') return asText(output.value)
  return (Array.isArray(output.value) ? output.value : []).map((part) => partText(part, name)).join('\n')
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : (jsonText(value) ?? '')
}
