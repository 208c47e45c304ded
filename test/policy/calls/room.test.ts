// Only lib/policy/calls/ knows the form of a policy's calls and thoughts, so that no other code reads them in its own way.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../../..')
const room = 'lib/policy/calls/'
// The exception: the template of the built-in policies, which writes calls as every model's template does.
const template = 'lib/families/chat-template.ts'

const thoughtTag = /<\/?think/
const callMark = /<\/?tool_call\b|\[TOOL_CALLS\]|\[ARGS\]|\[CALL_ID\]|python_tag/

const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.(ts|mts|js|mjs)$/.test(path))
  .map((path) => join('lib', path))

/** The source without its comments, which may mention what a policy writes. */
function code(path: string): string {
  return withoutComments(readFileSync(join(root, path), 'utf8'))
}

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}

it('sees marks in code, not in comments', () => {
  expect(withoutComments("a('<think>') // <think>\n/* <think> */ b // c")).toBe("a('<think>') \n b ")
  expect(thoughtTag.test(withoutComments("const url = 'https://a' + '</think>'"))).toBe(true)
  expect(callMark.test('/<tool_call>/')).toBe(true)
  expect(callMark.test("'tool_calls'")).toBe(false)
})

it('alone knows how calls are written', () => {
  const knowing = sources.filter((path) => callMark.test(code(path)))
  expect(knowing).toContain(`${room}hermes.ts`)
  expect(knowing.filter((path) => !path.startsWith(room))).toEqual([template])
})

it('knows thoughts in one file', () => {
  expect(sources.filter((path) => thoughtTag.test(code(path)))).toEqual([`${room}thoughts.ts`])
})

it('knows each format in its own file', () => {
  const knowing = (pattern: RegExp) =>
    sources
      .filter((path) => path.startsWith(room) && pattern.test(code(path)))
      .map((path) => path.slice(room.length))
      .sort()
  expect(knowing(/<\/?tool_call\b/)).toEqual(['hermes.ts'])
  expect(knowing(/python_tag/)).toEqual(['llama3-json.ts'])
  expect(knowing(/\[TOOL_CALLS\]/)).toEqual(['mistral-args.ts', 'mistral.ts'])
  expect(knowing(/\[ARGS\]|\[CALL_ID\]/)).toEqual(['mistral-args.ts'])
})
