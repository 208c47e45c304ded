// Calls in what a policy wrote, in the format of its chat template:
//   hermes       <tool_call>{"name": "search", "arguments": {"query": "..."}}</tool_call>, any number of them
//   llama3-json  {"name": "search", "parameters": {"query": "..."}} as the whole turn, <|python_tag|> in front or not, several
//                separated by ";"
// What a policy thinks is not what it says: nothing inside <think>...</think> at its beginning is a call.
import type { ToolCall, ToolFormat } from '../policy/types.js'
import { parseWholeCalls, pythonTag } from './whole-calls.js'

export const callTag = '<tool_call>'

/** A call as it could be read; a malformed one says why, for the policy to read, and keeps its text. */
export type ParsedToolCall =
  | ({ kind: 'call' } & ToolCall)
  | { kind: 'malformed'; text: string; problem: string }

/** The token that begins a call in this format and nothing else, where it is one. */
export function callMarker(format: ToolFormat): string {
  return format === 'hermes' ? callTag : pythonTag
}

const tags = /<\/?tool_call>/g

/** In the order of the text. Tags win over JSON: a call's arguments cannot contain them. */
export function parseToolCalls(text: string, format: ToolFormat = 'hermes'): ParsedToolCall[] {
  const said = afterThinking(text)
  return format === 'hermes' ? parseTaggedCalls(said) : parseWholeCalls(said)
}

/** The text without its calls, as a message's content beside `toolCalls`. */
export function withoutToolCalls(text: string, format: ToolFormat = 'hermes'): string {
  const said = afterThinking(text)
  const thought = text.slice(0, text.length - said.length)
  if (format === 'llama3-json') return thought
  return thought + said.replace(/\s*<tool_call>[\s\S]*?<\/tool_call>\s*/g, '')
}

/**
 * What follows the thought that a turn begins with; all of it where it begins with none, nothing where the thought does not end.
 * A template may have opened the thought in the prompt: then the turn has only its end.
 */
export function afterThinking(text: string): string {
  const close = text.indexOf('</think>')
  const open = text.indexOf('<think>')
  const begins = /^\s*<think>/.test(text)
  if (close === -1) return begins ? '' : text
  return begins || open === -1 || close < open ? text.slice(close + '</think>'.length) : text
}

function parseTaggedCalls(text: string): ParsedToolCall[] {
  const calls: ParsedToolCall[] = []
  // Where the text of the call being read begins.
  let opened: number | undefined
  for (const { 0: tag, index } of text.matchAll(tags)) {
    if (tag === callTag) {
      if (opened !== undefined)
        calls.push(malformed(text.slice(opened, index), 'another <tool_call> comes before </tool_call>'))
      opened = index + tag.length
    } else if (opened === undefined) {
      calls.push(malformed('', '</tool_call> without <tool_call>'))
    } else {
      calls.push(parseCall(text.slice(opened, index)))
      opened = undefined
    }
  }
  if (opened !== undefined) calls.push(malformed(text.slice(opened), '<tool_call> without </tool_call>'))
  return calls
}

function parseCall(text: string): ParsedToolCall {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return malformed(text, `not valid JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return malformed(text, 'must be a JSON object')
  const { name, arguments: input = {} } = value as { name?: unknown; arguments?: unknown }
  if (typeof name !== 'string' || name === '') return malformed(text, '"name" must be the name of a tool')
  return { kind: 'call', name, arguments: input }
}

function malformed(text: string, problem: string): ParsedToolCall {
  return { kind: 'malformed', text, problem }
}
