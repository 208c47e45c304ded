// Messages of endpoints of every make: what is read of them, and what goes back.
import { describe, expect, it } from 'vitest'
import { describeMistake, type OptionMistake } from '../../../lib/core/option-error.js'
import { callIdSource } from '../../../lib/policy/messages/call-id-source.js'
import { readReply } from '../../../lib/policy/messages/read-reply.js'
import { toWire } from '../../../lib/policy/messages/to-wire.js'

const fail = (mistake: OptionMistake): never => {
  throw new Error(describeMistake(mistake))
}
const read = (message: unknown) => readReply(message, fail, callIdSource())
const made = (args: unknown, name = 'f') => ({ name, ...(args !== undefined && { arguments: args }) })
const sent = (id: string, args: string, more: object = {}) => ({
  ...more,
  id,
  type: 'function',
  function: { name: 'f', arguments: args },
})

describe('readReply', () => {
  it('sends a message back as it came, unknown fields included', () => {
    const message = {
      role: 'assistant',
      content: '',
      reasoning_content: 'Better look.',
      reasoning_details: [{ type: 'reasoning.encrypted', data: 'x' }],
      annotations: null,
      tool_calls: [
        sent('c', '{"a": 1.0}', { index: 0, extra_content: { google: { thought_signature: 's' } } }),
      ],
    }
    const { wire, thought, content, calls } = read(message)
    expect(wire).toEqual(message)
    expect({ thought, content }).toEqual({ thought: 'Better look.', content: '' })
    expect(calls).toEqual([{ id: 'c', call: { kind: 'call', name: 'f', arguments: { a: 1 } } }])
  })

  it.each<[string, unknown[], unknown[]]>([
    ['missing', [{ function: made('{}') }], [sent('call_0', '{}')]],
    ['null', [{ id: null, type: 'function', function: made('{}') }], [sent('call_0', '{}')]],
    [
      'empty',
      [
        { id: '', function: made('{}') },
        { id: '', function: made('{}') },
      ],
      [sent('call_0', '{}'), sent('call_1', '{}')],
    ],
    ['equal', [sent('x', '{}'), sent('x', '{}')], [sent('x', '{}'), sent('call_0', '{}')]],
    [
      'equal to an own one',
      [{ function: made('{}') }, sent('call_0', '{}')],
      [sent('call_0', '{}'), sent('call_1', '{}')],
    ],
    ['there, with arguments as an object', [{ id: 'x', function: made({ a: 1 }) }], [sent('x', '{"a":1}')]],
    ['there, without arguments', [{ id: 'x', function: made(undefined) }], [sent('x', '{}')]],
  ])('gives calls whose ids are %s ids of their own where they need one', (_, given, expected) => {
    const { wire, calls } = read({ content: null, tool_calls: given })
    expect(wire.tool_calls).toEqual(expected)
    expect(calls.map(({ id }) => id)).toEqual((expected as { id: string }[]).map(({ id }) => id))
    expect(calls.every(({ call }) => call.kind === 'call')).toBe(true)
  })

  it('gives own ids where a later turn has those of an earlier one', () => {
    const idOf = callIdSource()
    const turn = { content: null, tool_calls: [sent('call_0', '{}')] }
    expect([turn, turn].map((one) => readReply(one, fail, idOf).calls[0]?.id)).toEqual(['call_0', 'call_1'])
  })

  it('reads an older function call as a call', () => {
    expect(read({ content: null, function_call: made('{"a":1}') }).wire).toEqual({
      role: 'assistant',
      content: null,
      tool_calls: [sent('call_0', '{"a":1}')],
    })
  })

  it.each<[object, string, string]>([
    [
      {
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] },
          { type: 'text', text: '42' },
        ],
      },
      '42',
      'Hm.',
    ],
    [{ content: null, refusal: 'No.' }, 'No.', ''],
    [{ content: null }, '', ''],
    [{}, '', ''],
    [{ content: '42', reasoning: 'Hm.' }, '42', 'Hm.'],
    [{ content: '42', reasoning: { effort: 'low' }, reasoning_content: 7 }, '42', ''],
  ])('reads %j', (message, content, thought) => {
    expect(read(message)).toMatchObject({ content, thought, calls: [] })
  })

  it.each<[unknown, string]>([
    [undefined, 'message: must be an object, got undefined'],
    [{ content: 42 }, 'message.content: must be text or a list of parts, got 42'],
    [
      { content: [{ type: 'image_url' }] },
      "message.content[0].type: must be text, because the policy reads text only, got 'image_url'",
    ],
    [{ tool_calls: {} }, 'message.tool_calls: must be a list, got {}'],
    [{ tool_calls: [{ id: 'x', function: {} }] }, 'message.tool_calls[0]: must be { id, type'],
    [
      { tool_calls: [{ id: 'x', function: made(7) }] },
      'message.tool_calls[0].arguments: must be JSON text or an object, got 7',
    ],
  ])('refuses %j by name', (message, problem) => {
    expect(() => read(message)).toThrow(problem)
  })
})

it('toWire keeps ids of calls, gives own ones where there are none, and results those of their calls', () => {
  const wire = toWire(
    [
      { role: 'user', content: 'q' },
      {
        role: 'assistant',
        content: '',
        thought: 'Hm.',
        toolCalls: [
          { name: 'f', arguments: { a: 1 }, id: 'x' },
          { name: 'g', arguments: {} },
        ],
      },
      { role: 'tool', content: 'of f', name: 'f', callId: 'x' },
      { role: 'tool', content: 'of g', name: 'g' },
      { role: 'assistant', content: '', toolCalls: [{ name: 'f', arguments: {}, id: 'x' }] },
      { role: 'tool', content: 'again', name: 'f', callId: 'x' },
    ],
    callIdSource(),
  )
  expect(wire.slice(1)).toMatchObject([
    {
      content: null,
      reasoning_content: 'Hm.',
      tool_calls: [{ id: 'x' }, { id: 'call_0', function: { arguments: '{}' } }],
    },
    { tool_call_id: 'x', content: 'of f' },
    { tool_call_id: 'call_0', content: 'of g' },
    { tool_calls: [{ id: 'call_1' }] },
    { tool_call_id: 'call_1', content: 'again' },
  ])
})
