import { describe, expect, it } from 'vitest'
import { parseToolCalls, withoutToolCalls } from '../../../lib/policy/calls/tool-call-parser.js'

describe('parseToolCalls', () => {
  it('reads calls in order, white space and text around them', () => {
    const text =
      'first\n<tool_call>\n{"name": "a", "arguments": {"x": [1, "2"]}}\n</tool_call> then <tool_call>{"name": "b"}</tool_call>.'
    expect(parseToolCalls(text)).toEqual([
      { kind: 'call', name: 'a', arguments: { x: [1, '2'] } },
      { kind: 'call', name: 'b', arguments: {} },
    ])
    expect(withoutToolCalls(text)).toBe('firstthen.')
  })

  it('finds none in text without tags', () => {
    expect(parseToolCalls('{"name": "a", "arguments": {}} <answer>1</answer>')).toEqual([])
  })

  it.each<[string, string[]]>([
    ['<tool_call>{"name": "a"', ['<tool_call> without </tool_call>']],
    ['</tool_call>', ['</tool_call> without <tool_call>']],
    ['<tool_call>{}', ['<tool_call> without </tool_call>']],
    ['<tool_call></tool_call>', ['not valid JSON']],
    ['<tool_call>{"name": "a"} {"name": "b"}</tool_call>', ['not valid JSON']],
    ['<tool_call>[]</tool_call>', ['must be a JSON object']],
    ['<tool_call>null</tool_call>', ['must be a JSON object']],
    ['<tool_call>{"arguments": {}}</tool_call>', ['"name" must be']],
    ['<tool_call>{"name": 3}</tool_call>', ['"name" must be']],
    ['<tool_call>{"name": ""}</tool_call>', ['"name" must be']],
    ['<tool_call><tool_call>{"name": "a"}</tool_call>', ['another <tool_call> comes before']],
    ['<tool_call>{"name": "a"}</tool_call></tool_call>', ['</tool_call> without']],
  ])('%s is malformed', (text, problems) => {
    const malformed = parseToolCalls(text).filter((call) => call.kind === 'malformed')
    expect(malformed.map(({ problem }) => problem)).toEqual(
      problems.map((problem) => expect.stringContaining(problem)),
    )
  })

  it('reads the calls beside a malformed one', () => {
    const calls = parseToolCalls('<tool_call>x</tool_call><tool_call>{"name": "a"}</tool_call><tool_call>')
    expect(calls.map(({ kind }) => kind)).toEqual(['malformed', 'call', 'malformed'])
    expect(calls[0]).toMatchObject({ text: 'x' })
  })
})
