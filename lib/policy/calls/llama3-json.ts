// Llama 3.x's calls: {"name": "search", "parameters": {...}}, JSON objects that are the whole of a turn, several separated by ";".
// Only <|python_tag|> says for certain that a call is meant; without it a turn is a call if it is an object with "name" and
// "parameters", or begins like one and breaks off.
import { callFormat } from './call-format.js'
import { type CallStream, content, endOfTurn } from './call-stream.js'
import { malformed, type ParsedToolCall, readJson } from './parsed-call.js'

const pythonTag = '<|python_tag|>'

export const llama3Json = callFormat({
  name: 'llama3-json',
  rendered: /\{"name":\s*"probe_name",\s*"parameters":/,
  mentioned: /<\|python_tag\|>|"parameters":/,
  opening: pythonTag,
  beginsAll: false,
  marks: [pythonTag],
  namesCalls: false,
  anyCall: '{"name": "',
  callOf: (tool) => `{"name": ${JSON.stringify(tool)}, "parameters": `,
  parse,
  stream,
})

function parse(said: string): ParsedToolCall[] {
  const tagged = said.trimStart().startsWith(pythonTag)
  const body = (tagged ? said.trimStart().slice(pythonTag.length) : said).trim()
  if (!tagged && !body.startsWith('{')) return []
  const objects = splitObjects(body)
  if (!objects) {
    if (!tagged && !/^\{\s*"(name|type)"/.test(body)) return []
    return [
      malformed(body, 'not valid JSON: a turn with a call is nothing but {"name": ..., "parameters": {...}}'),
    ]
  }
  const calls = objects.map(readCall)
  // An answer that happens to be JSON.
  return !tagged && calls.every(({ kind }) => kind === 'malformed') && !/"(name|parameters)"\s*:/.test(body)
    ? []
    : calls
}

/** The JSON objects of a text that has only ";" and white space between them; undefined for any other text. */
function splitObjects(text: string): string[] | undefined {
  const objects: string[] = []
  let rest = text
  while (rest !== '') {
    const end = objectEnd(rest)
    if (end === undefined) return undefined
    objects.push(rest.slice(0, end))
    rest = rest.slice(end).replace(/^\s*;?\s*/, '')
  }
  return objects
}

/** Index after the brace that closes the text's first one. */
function objectEnd(text: string): number | undefined {
  if (!text.startsWith('{')) return undefined
  let depth = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (quoted) {
      if (character === '\\') at++
      else if (character === '"') quoted = false
    } else if (character === '"') quoted = true
    else if (character === '{') depth++
    else if (character === '}' && --depth === 0) return at + 1
  }
  return undefined
}

function readCall(text: string): ParsedToolCall {
  const read = readJson(text)
  if ('problem' in read) return malformed(text, read.problem)
  const { name, parameters, arguments: input = parameters } = read.value as Record<string, unknown>
  if (typeof name !== 'string' || name === '') return malformed(text, '"name" must be the name of a tool')
  if (input === undefined) return malformed(text, '"parameters" must be the input of the tool')
  return { kind: 'call', name, arguments: input }
}

/** Text that begins like a call is held until the end, everything else is content at once. */
function stream(): CallStream {
  let held = ''
  let plain = false
  return {
    feed(said) {
      held += said
      const begun = held.trimStart()
      plain ||=
        begun !== '' && !begun.startsWith('{') && !pythonTag.startsWith(begun) && !begun.startsWith(pythonTag)
      if (!plain) return []
      const all = held
      held = ''
      return content(all)
    },
    end: () => endOfTurn(held, parse),
  }
}
