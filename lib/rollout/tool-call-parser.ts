// Hermes calls in what a policy wrote: <tool_call>{"name": "search", "arguments": {"query":
// "..."}}</tool_call>, any number of them.
import type { ToolCall } from '../policy/types.js'

export const callTag = '<tool_call>'

/** A call as it could be read; a malformed one says why, for the policy to read, and keeps its text. */
export type ParsedToolCall =
  | ({ kind: 'call' } & ToolCall)
  | { kind: 'malformed'; text: string; problem: string }

const tags = /<\/?tool_call>/g

/** In the order of the text. Tags win over JSON: a call's arguments cannot contain them. */
export function parseToolCalls(text: string): ParsedToolCall[] {
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

/** The text without its calls, as a message's content beside `toolCalls`. */
export function withoutToolCalls(text: string): string {
  return text.replace(/\s*<tool_call>[\s\S]*?<\/tool_call>\s*/g, '')
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
