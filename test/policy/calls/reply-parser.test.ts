import { describe, expect, it } from 'vitest'
import { parseReply, ReplyParser } from '../../../lib/policy/calls/reply-parser.js'
import type { TurnReading } from '../../../lib/policy/calls/tool-call-parser.js'
import { withoutToolCalls } from '../../../lib/policy/calls/tool-call-parser.js'
import { call } from '../../server/conversations.js'

const replies = [
  '',
  'no calls',
  call('a'),
  `before ${call('a', { x: 1 })} after`,
  `\n\n${call('a')}\n${call('b')}\n  `,
  '<tool_call>{]</tool_call>',
  ` <tool_call>{]</tool_call> ${call('a')} x`,
  `<tool_call> again ${call('a')}`,
  '</tool_call> stray',
  'a <tool_cal b <',
  'ends in space  ',
  '<tool_call>{"name": "a"}',
]

describe('ReplyParser', () => {
  it.each(replies)('reads %j the same in pieces of every size', (text) => {
    const whole = parseReply(text, true)
    for (let size = 1; size < text.length; size++) {
      const parser = new ReplyParser(true)
      const parts = []
      for (let at = 0; at < text.length; at += size) parts.push(...parser.feed(text.slice(at, at + size)))
      parts.push(...parser.end())
      const content = parts.map((part) => (part.kind === 'content' ? part.text : '')).join('')
      const toolCalls = parts.flatMap((part) => (part.kind === 'call' ? [part.call] : []))
      expect({ content, toolCalls }, `pieces of ${size}`).toEqual(whole)
    }
  })

  it('takes calls out of the text as an rollout does', () => {
    const text = `before ${call('a', { x: 1 })} after ${call('b')}\n`
    expect(parseReply(text, true)).toEqual({
      content: withoutToolCalls(text),
      toolCalls: [
        { name: 'a', arguments: { x: 1 } },
        { name: 'b', arguments: {} },
      ],
    })
  })

  it('keeps what cannot be read, beside what can', () => {
    expect(parseReply(` <tool_call>{]</tool_call> ${call('a')} x`, true)).toEqual({
      content: ' <tool_call>{]</tool_call>x',
      toolCalls: [{ name: 'a', arguments: {} }],
    })
    expect(parseReply(`<tool_call> again ${call('a')}`, true).content).toBe('<tool_call> again ')
    expect(parseReply(call('a'), false)).toEqual({ content: call('a'), toolCalls: [] })
  })

  it('gives a call as soon as it is closed', () => {
    const parser = new ReplyParser(true)
    expect(parser.feed(`x ${call('a')}`)).toEqual([
      { kind: 'content', text: 'x' },
      { kind: 'call', call: { name: 'a', arguments: {} } },
    ])
  })
})

describe('a reply in pieces of every size', () => {
  const llama = '{"name": "search", "parameters": {"query": "x; y"}}'
  const mistral = '[TOOL_CALLS] [{"name": "search", "arguments": {"query": "x; y"}}]'
  const searched = { name: 'search', arguments: { query: 'x; y' } }
  const hermes = '<tool_call>{"name": "search", "arguments": {"query": "x; y"}}</tool_call>'

  it.each([
    ['hermes', `<think>${hermes}?</think>\n\n${hermes}`, `<think>${hermes}?</think>`, [searched]],
    ['hermes', '<think>never ends <tool_call>', '<think>never ends <tool_call>', []],
    ['hermes', ' <thin', ' <thin', []],
    ['llama3-json', llama, '', [searched]],
    ['llama3-json', `<|python_tag|>${llama};${llama}`, '', [searched, searched]],
    ['llama3-json', `<think>${llama}</think>${llama}`, `<think>${llama}</think>`, [searched]],
    ['llama3-json', '{"capital": "Paris"}', '{"capital": "Paris"}', []],
    ['llama3-json', `${llama.slice(0, -1)}`, llama.slice(0, -1), []],
    ['llama3-json', `I say ${llama}`, `I say ${llama}`, []],
    ['mistral', mistral, '', [searched]],
    ['mistral', `I look. ${mistral}`, 'I look.', [searched]],
    [
      'mistral',
      `${mistral.slice(0, -1)}, {"name": "now", "id": "a1B2c3D4e"}]`,
      '',
      [searched, { name: 'now', arguments: {}, id: 'a1B2c3D4e' }],
    ],
    ['mistral', `<think>${mistral}</think>${mistral}`, `<think>${mistral}</think>`, [searched]],
    ['mistral', `I look. ${mistral.slice(0, -1)}`, `I look. ${mistral.slice(0, -1)}`, []],
    ['mistral', `${mistral.slice(0, -1)}, {}]`, `${mistral.slice(0, -1)}, {}]`, []],
    ['mistral', 'a [TOOL_ is no mark [', 'a [TOOL_ is no mark [', []],
    ['mistral-args', 'I look.[TOOL_CALLS]search[ARGS]{"query": "x; y"}', 'I look.', [searched]],
    ['mistral-args', '[TOOL_CALLS]search', '[TOOL_CALLS]search', []],
  ] as const)('%s: %s', (format, text, expected, calls) => {
    for (const size of [1, 2, 3, 7, text.length])
      expect(inPieces(text, size, { format })).toEqual([expected, calls])
  })

  it.each([
    ['hermes', `${hermes}?</think>\n\n${hermes}`, `${hermes}?</think>`, [searched]],
    ['hermes', `a <think>${hermes}`, `a <think>${hermes}`, []],
    ['hermes', `<think>${hermes}</think>${hermes}`, `<think>${hermes}</think>`, [searched]],
    ['llama3-json', llama, llama, []],
    ['llama3-json', `hm</think>${llama}`, 'hm</think>', [searched]],
    ['mistral', mistral, mistral, []],
    ['mistral', `${mistral}</think>${mistral}`, `${mistral}</think>`, [searched]],
  ] as const)('%s, in a thought that the prompt opened: %s', (format, text, expected, calls) => {
    for (const size of [1, 2, 3, 7, text.length])
      expect(inPieces(text, size, { format, inThought: true })).toEqual([expected, calls])
  })

  it('gives out what stands before calls of Mistral at once, and leaves them where nothing is a call', () => {
    const parser = new ReplyParser(true, { format: 'mistral' })
    expect(parser.feed('I look. [TOOL')).toEqual([{ kind: 'content', text: 'I look.' }])
    expect(parser.feed('_BOX]')).toEqual([{ kind: 'content', text: ' [TOOL_BOX]' }])
    expect(parseReply(mistral, false, { format: 'mistral' })).toEqual({ content: mistral, toolCalls: [] })
  })

  it('gives out what is no call of Llama 3 at once', () => {
    const parser = new ReplyParser(true, { format: 'llama3-json' })
    expect(parser.feed('I ')).toEqual([{ kind: 'content', text: 'I ' }])
    expect(parser.feed('{')).toEqual([{ kind: 'content', text: '{' }])
  })
})

function inPieces(text: string, size: number, reading: TurnReading): [string, unknown[]] {
  const parser = new ReplyParser(true, reading)
  const parts = []
  for (let at = 0; at < text.length; at += size) parts.push(...parser.feed(text.slice(at, at + size)))
  parts.push(...parser.end())
  return [
    parts.map((part) => (part.kind === 'content' ? part.text : '')).join(''),
    parts.flatMap((part) => (part.kind === 'call' ? [part.call] : [])),
  ]
}
