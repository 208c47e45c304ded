import { describe, expect, it } from 'vitest'
import { withoutToolCalls } from '../../lib/rollout/tool-call-parser.js'
import { parseReply, ReplyParser } from '../../lib/server/reply-parser.js'
import { call } from './conversations.js'

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

  it('takes calls out of the text as an episode does', () => {
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
  ] as const)('%s: %s', (format, text, expected, calls) => {
    for (const size of [1, 2, 3, 7, text.length]) {
      const parser = new ReplyParser(true, format)
      const parts = []
      for (let at = 0; at < text.length; at += size) parts.push(...parser.feed(text.slice(at, at + size)))
      parts.push(...parser.end())
      expect(parts.map((part) => (part.kind === 'content' ? part.text : '')).join('')).toBe(expected)
      expect(parts.flatMap((part) => (part.kind === 'call' ? [part.call] : []))).toEqual(calls)
    }
  })

  it('gives out what is no call of Llama 3 at once', () => {
    const parser = new ReplyParser(true, 'llama3-json')
    expect(parser.feed('I ')).toEqual([{ kind: 'content', text: 'I ' }])
    expect(parser.feed('{')).toEqual([{ kind: 'content', text: '{' }])
  })
})
