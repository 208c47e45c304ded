// Llama 3.x's and Mistral's calls, and thoughts, which hold no calls in any format.
import { describe, expect, it } from 'vitest'
import { afterThinking } from '../../lib/policy/calls/thoughts.js'
import { parseToolCalls, withoutToolCalls } from '../../lib/policy/calls/tool-call-parser.js'

const call = { kind: 'call', name: 'search', arguments: { query: 'a {"} b' } }
const written = '{"name": "search", "parameters": {"query": "a {\\"} b"}}'
const parse = (text: string) => parseToolCalls(text, { format: 'llama3-json' })

describe("Llama 3's JSON calls", () => {
  it.each([
    ['alone', written],
    ['in white space', `\n ${written}\n`],
    ['tagged', `<|python_tag|>${written}`],
    ['with "arguments"', written.replace('parameters', 'arguments')],
  ])('are read %s', (_, text) => {
    expect(parse(text)).toEqual([call])
    expect(withoutToolCalls(text, { format: 'llama3-json' })).toBe('')
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

describe("Mistral's calls", () => {
  const mistral = (text: string) => parseToolCalls(text, { format: 'mistral' })
  const named = (text: string) => parseToolCalls(text, { format: 'mistral-args' })
  const item = '{"name": "search", "arguments": {"query": "a {\\"} b"}}'

  it.each([
    ['one', `[TOOL_CALLS] [${item}]`, [call]],
    ['without space', `[TOOL_CALLS][${item}]`, [call]],
    ['several', `[TOOL_CALLS] [${item}, ${item}]\n`, [call, call]],
    ['several lists', `[TOOL_CALLS] [${item}] [TOOL_CALLS] [${item}]`, [call, call]],
    ['with an id', `[TOOL_CALLS] [${item.slice(0, -1)}, "id": "a1B2c3D4e"}]`, [{ ...call, id: 'a1B2c3D4e' }]],
    ['without arguments', '[TOOL_CALLS] [{"name": "now"}]', [{ kind: 'call', name: 'now', arguments: {} }]],
    ['after text', `I look. [TOOL_CALLS] [${item}]`, [call]],
    ['after a thought', `<think>[TOOL_CALLS] [${item}]</think>[TOOL_CALLS] [${item}]`, [call]],
  ])('are read: %s', (_, text, calls) => {
    expect(mistral(text)).toEqual(calls)
  })

  it.each([
    ['one', '[TOOL_CALLS]search[ARGS]{"query": "a {\\"} b"}', [call]],
    [
      'with an id',
      '[TOOL_CALLS]search[CALL_ID]a1B2c3D4e[ARGS]{"query": "a {\\"} b"}',
      [{ ...call, id: 'a1B2c3D4e' }],
    ],
    ['in white space', ' [TOOL_CALLS] search[ARGS] {"query": "a {\\"} b"}\n', [call]],
    [
      'several',
      '[TOOL_CALLS]a[ARGS]{}[TOOL_CALLS]b[ARGS]{}',
      [
        { kind: 'call', name: 'a', arguments: {} },
        { kind: 'call', name: 'b', arguments: {} },
      ],
    ],
  ])('are read in the later form: %s', (_, text, calls) => {
    expect(named(text)).toEqual(calls)
  })

  it.each([
    ['[TOOL_CALLS] [{"name": "search"', 'not valid JSON'],
    [`[TOOL_CALLS] [${item}] and more`, 'not valid JSON'],
    ['[TOOL_CALLS]', 'not valid JSON'],
    [`[TOOL_CALLS] ${item}`, 'JSON list'],
    ['[TOOL_CALLS] []', 'JSON list'],
    ['[TOOL_CALLS] [3]', 'must be a JSON object'],
    ['[TOOL_CALLS] [{"name": ""}]', '"name" must be'],
    ['[TOOL_CALLS]search[ARGS]{}', 'not valid JSON'],
  ])('%s is malformed', (text, problem) => {
    expect(mistral(text)).toEqual([
      { kind: 'malformed', text: expect.any(String), problem: expect.stringContaining(problem) },
    ])
  })

  it.each([
    ['[TOOL_CALLS]search', 'name and [ARGS]'],
    ['[TOOL_CALLS]search[ARGS]{"query"', 'not valid JSON'],
    ['[TOOL_CALLS][ARGS]{}', '"name" must be'],
    ['[TOOL_CALLS] [{"name": "search", "arguments": {}}]', 'name and [ARGS]'],
  ])('%s is malformed in the later form', (text, problem) => {
    expect(named(text)).toEqual([
      { kind: 'malformed', text: expect.any(String), problem: expect.stringContaining(problem) },
    ])
  })

  it('are read beside one that cannot be, and are none without their mark', () => {
    expect(mistral(`[TOOL_CALLS] [${item}, {"arguments": {}}]`).map(({ kind }) => kind)).toEqual([
      'call',
      'malformed',
    ])
    expect(mistral(`[${item}]`)).toEqual([])
    expect(named('search[ARGS]{}')).toEqual([])
  })

  it('are taken out of the text', () => {
    expect(withoutToolCalls(`<think>a</think>I look. [TOOL_CALLS] [${item}]`, { format: 'mistral' })).toBe(
      '<think>a</think>I look.',
    )
    expect(withoutToolCalls('[TOOL_CALLS]a[ARGS]{}', { format: 'mistral-args' })).toBe('')
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
    ['b <think>late</think>', 'b <think>late</think>'],
    ['b</think>c', 'b</think>c'],
    ['b', 'b'],
  ])('%j is followed by %j', (text, said) => {
    expect(afterThinking(text)).toBe(said)
  })

  it.each([
    ['a</think>b', 'b'],
    ['<think>a</think>b', 'b'],
    ['a</think>b</think>c', 'b</think>c'],
    ['never ends', ''],
  ])('%j, opened in the prompt, is followed by %j', (text, said) => {
    expect(afterThinking(text, true)).toBe(said)
  })

  it('that the prompt opened hold no calls either', () => {
    const inThought = { inThought: true }
    expect(parseToolCalls(`Perhaps ${hermes}?`, inThought)).toEqual([])
    expect(parseToolCalls(`Perhaps ${hermes}?</think>\n\n${hermes}`, inThought)).toHaveLength(1)
    expect(withoutToolCalls(`Perhaps ${hermes}?</think>${hermes}`, inThought)).toBe(
      `Perhaps ${hermes}?</think>`,
    )
  })
})
