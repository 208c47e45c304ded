// Mistral's calls, which end a turn. Text may stand before them, nothing after them:
//   mistral       [TOOL_CALLS] [{"name": "search", "arguments": {"query": "..."}, "id": "a1B2c3D4e"}], several in one list
//   mistral-args  [TOOL_CALLS]search[ARGS]{"query": "..."}, several one after the other; some write an id, [CALL_ID]a1B2c3D4e, in
//                 front of [ARGS]
// The marks in brackets are tokens of their own, so that no argument contains them.
import { callOf, malformed, type ParsedToolCall, readJson } from './parsed-call.js'

export const mistralTag = '[TOOL_CALLS]'
const argumentsTag = '[ARGS]'
const idTag = '[CALL_ID]'

export function parseMistralCalls(text: string, format: 'mistral' | 'mistral-args'): ParsedToolCall[] {
  return text
    .split(mistralTag)
    .slice(1)
    .flatMap((written) => (format === 'mistral' ? readList(written) : [readNamed(written)]))
}

function readList(text: string): ParsedToolCall[] {
  const read = readJson(text)
  if ('problem' in read) return [malformed(text, read.problem)]
  if (!Array.isArray(read.value) || read.value.length === 0) {
    return [malformed(text, `${mistralTag} must be followed by a JSON list of calls`)]
  }
  return read.value.map((call) => callOf(call, JSON.stringify(call)))
}

function readNamed(text: string): ParsedToolCall {
  const at = text.indexOf(argumentsTag)
  if (at === -1) return malformed(text, `${mistralTag} must be followed by a tool's name and ${argumentsTag}`)
  const [name = '', id] = text.slice(0, at).split(idTag)
  const read = readJson(text.slice(at + argumentsTag.length))
  if ('problem' in read) return malformed(text, read.problem)
  return callOf({ name: name.trim(), arguments: read.value, id: id?.trim() }, text)
}
