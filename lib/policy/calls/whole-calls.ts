// Llama 3.x's calls: JSON objects that are the whole of a turn. Only <|python_tag|> says for certain that a call is meant; without
// it a turn is one where it is an object with "name" and "parameters", or begins like one and breaks off.
import { malformed, type ParsedToolCall, readJson } from './parsed-call.js'

export const pythonTag = '<|python_tag|>'

export function parseWholeCalls(text: string): ParsedToolCall[] {
  const tagged = text.trimStart().startsWith(pythonTag)
  const body = (tagged ? text.trimStart().slice(pythonTag.length) : text).trim()
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

/** The JSON objects of a text that has nothing else but ";" and white space between them; undefined where it has. */
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

/** Behind the brace that closes the one that the text begins with. */
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
