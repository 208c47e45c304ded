// The calls of Mistral's later models: [TOOL_CALLS]search[ARGS]{"query": "..."}, several one after the other, at the end of a turn.
// Some write an id in front of the arguments: [TOOL_CALLS]search[CALL_ID]a1B2c3D4e[ARGS]{"query": "..."}.
import { callFormat } from './call-format.js'
import { callsAtEnd } from './calls-at-end.js'
import { callOf, malformed, type ParsedToolCall, readJson } from './parsed-call.js'

const mark = '[TOOL_CALLS]'
const argumentsMark = '[ARGS]'
const idMark = '[CALL_ID]'

export const mistralArgs = callFormat({
  name: 'mistral-args',
  rendered: /\[TOOL_CALLS\]\s*probe_name(\[CALL_ID\]\w+)?\[ARGS\]\s*\{/,
  mentioned: /\[TOOL_CALLS\][\s\S]*\[ARGS\]/,
  opening: mark,
  beginsAll: true,
  marks: [mark, argumentsMark, idMark],
  namesCalls: true,
  anyCall: mark,
  callOf: (tool) => `${mark}${tool}${argumentsMark}`,
  ...callsAtEnd(mark, (text) => [readNamed(text)]),
})

function readNamed(text: string): ParsedToolCall {
  const at = text.indexOf(argumentsMark)
  if (at === -1) return malformed(text, `${mark} must be followed by a tool's name and ${argumentsMark}`)
  const [name = '', id] = text.slice(0, at).split(idMark)
  const read = readJson(text.slice(at + argumentsMark.length), 'arguments')
  if ('problem' in read) return malformed(text, read.problem)
  return callOf({ name: name.trim(), arguments: read.value, id: id?.trim() }, text)
}
