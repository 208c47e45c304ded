// The same odd messages read as logs are, and as requests are.
import { describe, expect, it } from 'vitest'
import { describeMistake, type OptionMistake } from '../../../lib/core/option-error.js'
import { readMessages } from '../../../lib/policy/messages/read-messages.js'
import { readTools } from '../../../lib/policy/messages/read-tools.js'
import type { ToolDescription } from '../../../lib/policy/types.js'

const fail = (mistake: OptionMistake): never => {
  throw new Error(describeMistake(mistake))
}
const lenient = (messages: unknown, tools?: ToolDescription[]) =>
  readMessages(messages, { fail, ...(tools && { tools }) })
const strict = (messages: unknown) => readMessages(messages, { fail, strict: true })
const outcome = (read: () => unknown): unknown => {
  try {
    return read()
  } catch (error) {
    return (error as Error).message
  }
}

const user = { role: 'user', content: 'q' }
const call = (id: unknown, args: unknown = '{"a":1}', name = 'f') => ({
  ...(id !== undefined && { id }),
  type: 'function',
  function: { name, arguments: args },
})
const calling = (...calls: unknown[]) => ({ role: 'assistant', content: null, tool_calls: calls })
const result = (id: unknown, content: string, name?: string) => ({
  role: 'tool',
  content,
  ...(id !== undefined && { tool_call_id: id }),
  ...(name && { name }),
})
const asked = (id?: string, args: unknown = { a: 1 }, name = 'f') => ({
  name,
  arguments: args,
  ...(id && { id }),
})
const answered = (callId: string | undefined, content: string, name = 'f') => ({
  role: 'tool',
  content,
  name,
  ...(callId && { callId }),
})
const turn = (...toolCalls: object[]) => ({ role: 'assistant', content: '', toolCalls })

describe('readMessages', () => {
  it.each<[string, unknown[], unknown, unknown]>([
    [
      'results in another order than the calls',
      [user, calling(call('x'), call('y')), result('y', 'second'), result('x', 'first')],
      [user, turn(asked('x'), asked('y')), answered('x', 'first'), answered('y', 'second')],
      [user, turn(asked('x'), asked('y')), answered('x', 'first'), answered('y', 'second')],
    ],
    [
      'calls of two messages side by side, whose results are in another order',
      [user, calling(call('x')), calling(call('y')), result('y', 'second'), result('x', 'first')],
      [user, turn(asked('x')), turn(asked('y')), answered('x', 'first'), answered('y', 'second')],
      [user, turn(asked('x')), turn(asked('y')), answered('x', 'first'), answered('y', 'second')],
    ],
    [
      'calls without ids, whose results name their tools',
      [
        user,
        calling(call(null), call('', '{}', 'g')),
        result(undefined, 'of g', 'g'),
        result(null, 'of f', 'f'),
      ],
      [
        user,
        turn(asked(), asked(undefined, {}, 'g')),
        answered(undefined, 'of f'),
        answered(undefined, 'of g', 'g'),
      ],
      'messages[1].tool_calls[0].id: must be text, got null',
    ],
    [
      'equal ids',
      [user, calling(call('x'), call('x', '{"b":2}')), result('x', 'first'), result('x', 'second')],
      [
        user,
        turn(asked('x'), asked(undefined, { b: 2 })),
        answered('x', 'first'),
        answered(undefined, 'second'),
      ],
      "messages[1].tool_calls[1].id: must be another id than that of the calls before it, got 'x'",
    ],
    [
      'ids that every turn uses again',
      [user, calling(call('x')), result('x', '1'), calling(call('x', '{"b":2}')), result('x', '2')],
      [
        user,
        turn(asked('x')),
        answered('x', '1'),
        turn(asked(undefined, { b: 2 })),
        answered(undefined, '2'),
      ],
      [user, turn(asked('x')), answered('x', '1'), turn(asked('x', { b: 2 })), answered('x', '2')],
    ],
    [
      'a result of no call',
      [user, calling(call('x')), result('y', 'r')],
      "messages[2].tool_call_id: must be the id of a call in a message before it, got 'y'",
      "messages[2].tool_call_id: must be the id of a call in a message before it, got 'y'",
    ],
    [
      'a result before which another call of the turn has none',
      [user, calling(call('x'), call('y')), result('y', 'r')],
      'messages[1].tool_calls[0]: must be answered, as a later call of its turn is, got no result',
      [user, turn(asked('x'), asked('y')), answered('y', 'r')],
    ],
    [
      'an older function call',
      [
        user,
        { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{"a":1}' } },
        { role: 'function', name: 'f', content: 'r' },
      ],
      [user, turn(asked()), answered(undefined, 'r')],
      'messages[1].function_call: must be left out, because it is not supported, ' +
        `got { name: 'f', arguments: '{"a":1}' }`,
    ],
    [
      'arguments that are an object, with a null of no meaning',
      [user, calling(call('x', { a: 1, city: null, inner: { b: null, list: [null] } }))],
      [user, turn(asked('x', { a: 1, inner: { list: [null] } }))],
      [user, turn(asked('x', { a: 1, inner: { list: [null] } }))],
    ],
    [
      'a null that the model wrote',
      [user, calling(call('x', '{"a":null}'))],
      [user, turn(asked('x', { a: null }))],
      [user, turn(asked('x', { a: null }))],
    ],
    [
      'arguments that are no JSON',
      [user, calling(call('x', '{"a'))],
      `messages[1].tool_calls[0].arguments: must be an object, or its JSON text, got '{"a'`,
      [user, turn(asked('x', '{"a'))],
    ],
    [
      'parts of text, refusals and thoughts',
      [
        {
          role: 'developer',
          content: [
            { type: 'text', text: 'Be ', image_url: null },
            { type: 'text', text: 'brief.' },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] },
            { type: 'refusal', refusal: 'No.' },
          ],
        },
      ],
      [
        { role: 'system', content: 'Be brief.' },
        { role: 'assistant', content: 'No.', thought: 'Hm.' },
      ],
      [
        { role: 'system', content: 'Be brief.' },
        { role: 'assistant', content: 'No.', thought: 'Hm.' },
      ],
    ],
    ...[
      { reasoning_content: 'Hm.', reasoning: null },
      { reasoning: 'Hm.', reasoning_details: [{ type: 'reasoning.text', text: 'Hm.' }] },
      {
        reasoning_details: [
          { type: 'reasoning.summary', summary: 'Hm.' },
          { type: 'reasoning.encrypted', data: 'x' },
        ],
      },
    ].map((fields): [string, unknown[], unknown, unknown] => [
      `a thought in ${Object.keys(fields).join(' and ')}`,
      [user, { role: 'assistant', content: 'a', ...fields }],
      [user, { role: 'assistant', content: 'a', thought: 'Hm.' }],
      [user, { role: 'assistant', content: 'a', thought: 'Hm.' }],
    ]),
    [
      'a thought that is in the content, too',
      [user, { role: 'assistant', content: '<think>Hm.</think>\n\na', reasoning_content: 'Hm.' }],
      [user, { role: 'assistant', content: 'a', thought: 'Hm.' }],
      [user, { role: 'assistant', content: 'a', thought: 'Hm.' }],
    ],
    ...[7, true, null, undefined, { text: 'q' }].map((content): [string, unknown[], unknown, unknown] => {
      const refused = /^messages\[0\]\.content: must be text or a list of parts, got /
      return [`content ${String(content)}`, [{ role: 'user', content }], refused, refused]
    }),
    ...[7, null, undefined].map((content): [string, unknown[], unknown, unknown] => {
      const refused = /^messages\[1\]\.content: must be text or a list of parts/
      return [
        `an assistant's content ${String(content)}`,
        [user, { role: 'assistant', content }],
        refused,
        refused,
      ]
    }),
    [
      'an image',
      [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }],
      "messages[0].content[0].type: must be text, because the policy reads text only, got 'image_url'",
      "messages[0].content[0].type: must be text, because the policy reads text only, got 'image_url'",
    ],
    [
      'an unknown role',
      [{ role: 'asistant', content: 'a' }],
      "messages[0].role: must be system, developer, user, assistant or tool, got 'asistant'",
      "messages[0].role: must be system, developer, user, assistant or tool, got 'asistant'",
    ],
    [
      'weights',
      [
        user,
        { role: 'assistant', content: 'a', weight: 0 },
        user,
        { role: 'assistant', content: 'b', weight: 1 },
      ],
      [
        user,
        { role: 'assistant', content: 'a', trained: 'none' },
        user,
        { role: 'assistant', content: 'b', trained: 'all' },
      ],
      'messages[1].weight: must be left out, because it is not supported, got 0',
    ],
    [
      'a weight of another kind',
      [user, { role: 'assistant', content: 'a', weight: 0.5 }],
      'messages[1].weight: must be 0 or 1, got 0.5',
      'messages[1].weight: must be left out, because it is not supported, got 0.5',
    ],
    [
      "hdpo's own form",
      [user, { ...turn(asked('x', { a: null })), thought: 'Hm.', trained: 'first' }, answered('x', 'r')],
      [user, { ...turn(asked('x', { a: null })), thought: 'Hm.', trained: 'first' }, answered('x', 'r')],
      'messages[1].toolCalls: must be left out, because it is not supported, ' +
        "got [ { name: 'f', arguments: [Object], id: 'x' } ]",
    ],
  ])('reads %s', (_, messages, asLog, asRequest) => {
    for (const [read, expected] of [
      [lenient, asLog],
      [strict, asRequest],
    ] as const) {
      const got = outcome(() => read(messages))
      if (expected instanceof RegExp) expect(got).toMatch(expected)
      else expect(got).toEqual(expected)
    }
  })

  it('keeps a null where the tool of the row lists the key and allows null', () => {
    const parameters = {
      type: 'object',
      properties: {
        a: { type: ['string', 'null'] },
        b: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
        c: { type: 'string' },
        d: { description: 'anything' },
        e: { enum: ['x', null] },
      },
    }
    const args = { a: null, b: null, c: null, d: null, e: null, f: null }
    const [, message] = lenient(
      [user, calling(call('x', args))],
      [{ name: 'f', description: '', parameters }],
    )
    expect(message?.toolCalls?.[0]?.arguments).toEqual({ a: null, b: null, d: null, e: null })
  })

  it.each([5_000, 100_000])('refuses arguments that are %i levels deep by name', (levels) => {
    const deep = JSON.parse('['.repeat(levels) + ']'.repeat(levels))
    const messages = [user, calling(call('x', { deep }))]
    expect(outcome(() => lenient(messages))).toMatch(
      /^messages\[1\]\.tool_calls\[0\]\.arguments: must be nested at most/,
    )
    expect(outcome(() => strict(messages))).toMatch(
      /^messages\[1\]\.tool_calls\[0\]\.arguments: must be nested at most/,
    )
  })
})

describe('readTools', () => {
  const parameters = { type: 'object', properties: { sku: { type: 'string' } } }
  const bare = { name: 'stock', description: 'Units left', parameters }
  const wrapped = { type: 'function', function: bare }
  const read = (tools: unknown) => readTools(tools, 'tools', fail)

  it.each<[string, unknown]>([
    ['wrapped', [wrapped]],
    ['bare', [bare]],
    ['as JSON text', JSON.stringify([wrapped])],
    ['as a list of JSON texts', [JSON.stringify(wrapped)]],
    [
      'with parameters as JSON text',
      [{ type: 'function', function: { ...bare, parameters: JSON.stringify(parameters) } }],
    ],
    ['wrapped twice', [{ type: 'function', function: wrapped }]],
    ["in Anthropic's form", [{ name: 'stock', description: 'Units left', input_schema: parameters }]],
    [
      'with nulls that Arrow filled in',
      [
        {
          type: 'function',
          function: {
            ...bare,
            strict: null,
            parameters: {
              type: 'object',
              required: null,
              properties: { sku: { type: 'string', enum: null, default: null }, city: null },
            },
          },
        },
        null,
      ],
    ],
  ])('reads tools %s', (_, tools) => {
    expect(read(tools)).toEqual([bare])
  })

  it('keeps nulls that a schema means', () => {
    const meant = {
      type: 'object',
      properties: {
        a: { type: ['string', 'null'], default: null },
        b: { enum: ['x', null] },
        c: { const: null },
      },
    }
    expect(read([{ ...bare, parameters: meant }])).toEqual([{ ...bare, parameters: meant }])
  })

  it.each<[unknown, unknown]>([
    [null, undefined],
    ['', undefined],
    [[], []],
    ['[{', "tools: must be a value or its JSON text, got '[{'"],
    [{ name: 'stock' }, "tools: must be a list of tools, or its JSON text, got { name: 'stock' }"],
    [[{ type: 'web_search' }], "tools[0]: must be a tool with a name, got { type: 'web_search' }"],
    [[{ ...bare, parameters: 7 }], 'tools[0].parameters: must be a JSON Schema, got 7'],
  ])('reads %j as %j', (tools, expected) => {
    expect(outcome(() => read(tools))).toEqual(expected)
  })
})
