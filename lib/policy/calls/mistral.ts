// Mistral's calls: [TOOL_CALLS] [{"name": "search", "arguments": {"query": "..."}, "id": "a1B2c3D4e"}], several in one list, at the
// end of a turn (7B v0.3 to Small 3.1; mistral-args.ts has those of later models).
import { callFormat } from './call-format.js'
import { callsAtEnd } from './calls-at-end.js'
import { callOf, malformed, type ParsedToolCall, readJson } from './parsed-call.js'

const mark = '[TOOL_CALLS]'

export const mistral = callFormat({
  name: 'mistral',
  rendered: /\[TOOL_CALLS\]\s*\[\s*\{"name":\s*"probe_name",\s*"arguments":/,
  mentioned: /\[TOOL_CALLS\]/,
  opening: mark,
  beginsAll: true,
  marks: [mark],
  namesCalls: true,
  anyCall: mark,
  callOf: (tool) => `${mark} [{"name": ${JSON.stringify(tool)}, "arguments": `,
  ...callsAtEnd(mark, readList),
})

function readList(text: string): ParsedToolCall[] {
  const read = readJson(text)
  if ('problem' in read) return [malformed(text, read.problem)]
  if (!Array.isArray(read.value) || read.value.length === 0) {
    return [malformed(text, `${mark} must be followed by a JSON list of calls`)]
  }
  return read.value.map((call) => callOf(call, JSON.stringify(call)))
}
