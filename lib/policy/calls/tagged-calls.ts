// Hermes calls: <tool_call>{"name": "search", "arguments": {"query": "..."}}</tool_call>, any number of them, text between them.
// Tags win over JSON: a call's arguments cannot contain them.
import { callOf, malformed, type ParsedToolCall, readJson } from './parsed-call.js'

export const callTag = '<tool_call>'
export const closingTag = '</tool_call>'

const tags = /<\/?tool_call>/g

export function parseTaggedCalls(text: string): ParsedToolCall[] {
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
      calls.push(readCall(text.slice(opened, index)))
      opened = undefined
    }
  }
  if (opened !== undefined) calls.push(malformed(text.slice(opened), '<tool_call> without </tool_call>'))
  return calls
}

function readCall(text: string): ParsedToolCall {
  const read = readJson(text)
  return 'problem' in read ? malformed(text, read.problem) : callOf(read.value, text)
}
