// Spans of the Vercel AI SDK (experimental_telemetry): ai.prompt.messages, ai.response.text, ai.response.toolCalls and ai.prompt.tools on
// calls of a model, ai.generateText.doGenerate and ai.streamText.doStream. Messages have the SDK's own form, in versions 4 to 6.

import { jsonText } from '../core/exact-json.js'
import { isRecord } from '../core/is-record.js'
import type { Message, ToolCall, ToolDescription } from '../policy/types.js'
import { UnusableTrace } from './conversation.js'
import { describe, parseArguments } from './json-value.js'
import { readTools } from './openai.js'
import { type Attributes, parseIfText } from './otlp-values.js'

/** The messages, undefined if there are none: the spans around the model's calls repeat them, without results. */
export function fromAiSdkSpan(attributes: Attributes): Message[] | undefined {
  const given = attributes['ai.prompt.messages']
  if (given === undefined) return undefined
  const messages = parseIfText(given)
  if (!Array.isArray(messages)) {
    throw new UnusableTrace(`ai.prompt.messages must be a list of messages, got ${describe(messages)}`)
  }
  const prompt = messages.flatMap((message: unknown, at) => readMessage(message, `ai.prompt.messages[${at}]`))
  return [...prompt, ...readResponse(attributes)]
}

export function aiSdkTools(attributes: Attributes): ToolDescription[] | undefined {
  const given = attributes['ai.prompt.tools']
  if (!Array.isArray(given)) return undefined
  const tools = given.map(parseIfText).filter(isRecord)
  return readTools(
    tools
      .filter(({ type }) => type === 'function')
      .map(({ name, description, inputSchema, parameters }) => ({
        type: 'function',
        function: { name, description, parameters: inputSchema ?? parameters },
      })),
  )
}

function readResponse(attributes: Attributes): Message[] {
  const content = String(attributes['ai.response.text'] ?? '')
  const calls = parseIfText(attributes['ai.response.toolCalls'] ?? [])
  if (!Array.isArray(calls)) {
    throw new UnusableTrace(`ai.response.toolCalls must be a list, got ${describe(calls)}`)
  }
  const toolCalls = calls.map((call: unknown) => readCall(call, 'ai.response.toolCalls'))
  if (content === '' && toolCalls.length === 0) return []
  return [{ role: 'assistant', content, ...(toolCalls.length > 0 && { toolCalls }) }]
}

function readMessage(value: unknown, where: string): Message[] {
  if (!isRecord(value)) throw new UnusableTrace(`${where} must be an object, got ${describe(value)}`)
  const { role, content } = value
  const parts = (typeof content === 'string' ? [{ type: 'text', text: content }] : content) as unknown
  if (!Array.isArray(parts))
    throw new UnusableTrace(`${where}.content must be text or parts, got ${describe(parts)}`)
  const text = parts.map(partText).join('')
  switch (role) {
    case 'system':
    case 'user':
      return [{ role, content: text }]
    case 'assistant': {
      const toolCalls = parts
        .filter((part) => isRecord(part) && part.type === 'tool-call')
        .map((part) => readCall(part, where))
      return [{ role, content: text, ...(toolCalls.length > 0 && { toolCalls }) }]
    }
    case 'tool':
      return parts.map((part) => readResult(part, where))
    default:
      throw new UnusableTrace(`${where}.role must be system, user, assistant or tool, got ${describe(role)}`)
  }
}

/** Reasoning is left out: another model's thoughts are not part of what it said. */
function partText(part: unknown): string {
  if (!isRecord(part)) return ''
  if (part.type === 'text') return String(part.text ?? '')
  if (part.type === 'reasoning' || part.type === 'tool-call' || part.type === 'tool-result') return ''
  throw new UnusableTrace(`the policy reads text only, got a part of type ${describe(part.type)}`)
}

function readCall(call: unknown, where: string): ToolCall {
  if (!isRecord(call) || typeof call.toolName !== 'string') {
    throw new UnusableTrace(`${where}: a tool call has no toolName`)
  }
  return { name: call.toolName, arguments: parseArguments(call.input ?? call.args, where) }
}

function readResult(part: unknown, where: string): Message {
  if (!isRecord(part) || part.type !== 'tool-result' || typeof part.toolName !== 'string') {
    throw new UnusableTrace(`${where}: a tool's message must hold results with their toolName`)
  }
  return { role: 'tool', content: resultText(part.output ?? part.result), name: part.toolName }
}

/** The result as the model read it: { type: 'text' | 'json' | 'content' | ..., value }, or in version 4 the result itself. */
function resultText(output: unknown): string {
  if (!isRecord(output) || typeof output.type !== 'string' || !('value' in output)) return asText(output)
  if (output.type !== 'content') return asText(output.value)
  return (Array.isArray(output.value) ? output.value : []).map(partText).join('\n')
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : (jsonText(value) ?? '')
}
