// Llama 3.x's JSON calls, and thoughts, which hold no calls in any format.
import { describe, expect, it } from 'vitest'
import { afterThinking, parseToolCalls, withoutToolCalls } from '../../lib/rollout/tool-call-parser.js'

const call = { kind: 'call', name: 'search', arguments: { query: 'a {"} b' } }
const written = '{"name": "search", "parameters": {"query": "a {\\"} b"}}'
const parse = (text: string) => parseToolCalls(text, 'llama3-json')

describe("Llama 3's JSON calls", () => {
  it.each([
    ['alone', written],
    ['in white space', `\n ${written}\n`],
    ['tagged', `<|python_tag|>${written}`],
    ['with "arguments"', written.replace('parameters', 'arguments')],
  ])('are read %s', (_, text) => {
    expect(parse(text)).toEqual([call])
    expect(withoutToolCalls(text, 'llama3-json')).toBe('')
  })

  it.each(['; ', ';', '\n', ''])('are read several, separated by %j', (separator) => {
    expect(parse([written, written].join(separator))).toEqual([call, call])
  })

  it.each([
    'Paris',
    `The call would be ${written}`,
    '{"capital": "Paris"}',
    '{not JSON, but braces}',
    '',
    '<tool_call>{"name": "search", "arguments": {}}</tool_call>',
  ])('are not found in %j', (text) => {
    expect(parse(text)).toEqual([])
  })

  it.each([
    ['{"name": "search", "parameters": {"query": "x"', 'not valid JSON'],
    [`${written} and more`, 'nothing but'],
    ['{"name": "search"}', '"parameters" must be'],
    ['{"name": 3, "parameters": {}}', '"name" must be'],
    ['<|python_tag|>search.call(query="x")', 'not valid JSON'],
    ['<|python_tag|>{"capital": "Paris"}', '"name" must be'],
  ])('%s is malformed', (text, problem) => {
    expect(parse(text)).toEqual([
      { kind: 'malformed', text: expect.any(String), problem: expect.stringContaining(problem) },
    ])
  })
})

describe('thoughts', () => {
  const hermes = '<tool_call>{"name": "search", "arguments": {}}</tool_call>'

  it('hold no calls, what follows them does', () => {
    const text = `<think>\nPerhaps ${hermes}?\n</think>\n\n${hermes}`
    expect(parseToolCalls(text)).toEqual([{ kind: 'call', name: 'search', arguments: {} }])
    expect(withoutToolCalls(text)).toBe(`<think>\nPerhaps ${hermes}?\n</think>`)
    expect(parse(`<think>${written}</think>\n\n${written}`)).toEqual([call])
  })

  it.each([
    ['<think>never ends', ''],
    ['<think>a</think>b', 'b'],
    ['\n<think>a</think>b</think>c', 'b</think>c'],
    ['opened in the prompt</think>b', 'b'],
    ['b <think>late</think>', 'b <think>late</think>'],
    ['b', 'b'],
  ])('%j is followed by %j', (text, said) => {
    expect(afterThinking(text)).toBe(said)
  })
})
