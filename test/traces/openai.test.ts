import { describe, expect, it } from 'vitest'
import { fromOpenAi } from '../../lib/traces/openai.js'

const search = { name: 'search', description: 'Full text', parameters: { type: 'object', properties: {} } }
const call = (id: string, query: string) => ({
  id,
  type: 'function',
  function: { name: 'search', arguments: JSON.stringify({ query }) },
})

describe('fromOpenAi', () => {
  it('reads calls, results by their ids, parts and tools', () => {
    const conversation = fromOpenAi({
      model: 'gpt-x',
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Capital of ' },
            { type: 'text', text: 'France?' },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [call('c1', 'France'), call('c2', 'Paris')],
          refusal: null,
        },
        { role: 'tool', tool_call_id: 'c1', content: 'Paris' },
        { role: 'tool', tool_call_id: 'c2', content: [{ type: 'text', text: 'a city' }] },
        { role: 'assistant', content: 'It is Paris.' },
        { role: 'user', content: 'Thanks' },
      ],
      tools: [{ type: 'function', function: search }],
    })
    expect(conversation).toEqual({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Capital of France?' },
        {
          role: 'assistant',
          content: '',
          toolCalls: [
            { name: 'search', arguments: { query: 'France' }, id: 'c1' },
            { name: 'search', arguments: { query: 'Paris' }, id: 'c2' },
          ],
        },
        { role: 'tool', content: 'Paris', name: 'search', callId: 'c1' },
        { role: 'tool', content: 'a city', name: 'search', callId: 'c2' },
        { role: 'assistant', content: '<answer>It is Paris.</answer>' },
      ],
      tools: [search],
    })
  })

  it('reads legacy function calls', () => {
    const { messages } = fromOpenAi({
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: '', function_call: { name: 'search', arguments: '' } },
        { role: 'function', name: 'search', content: 'r' },
        { role: 'assistant', content: 'done <answer>a</answer>' },
      ],
    })
    expect(messages.slice(1)).toEqual([
      { role: 'assistant', content: '', toolCalls: [{ name: 'search', arguments: {} }] },
      { role: 'tool', content: 'r', name: 'search' },
      { role: 'assistant', content: 'done <answer>a</answer>' },
    ])
  })

  it('keeps the answer as it was written where that is asked for, and joins assistant messages', () => {
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'one' },
      { role: 'assistant', content: 'two' },
    ]
    expect(fromOpenAi({ messages }, { answerTags: 'keep' }).messages.at(-1)).toEqual({
      role: 'assistant',
      content: 'one\ntwo',
    })
  })

  it.each([
    [
      '<think>\nEight each.\n</think>\n\nSixteen.',
      '<think>\nEight each.\n</think>\n\n<answer>Sixteen.</answer>',
    ],
    ['Eight each.\n</think>\n\n Sixteen. \n', 'Eight each.\n</think>\n\n <answer>Sixteen.</answer>'],
    [
      '<think>Is it <answer>8</answer>?</think>16',
      '<think>Is it <answer>8</answer>?</think><answer>16</answer>',
    ],
    ['<think>Hm.</think>It is <answer>16</answer>.', '<think>Hm.</think>It is <answer>16</answer>.'],
    [' Sixteen. ', '<answer>Sixteen.</answer>'],
  ])('puts what is said in %j into answer tags, not what is thought', (content, tagged) => {
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content },
    ]
    expect(fromOpenAi({ messages }).messages.at(-1)?.content).toBe(tagged)
    expect(fromOpenAi({ messages }, { answerTags: 'keep' }).messages.at(-1)?.content).toBe(content)
  })

  const user = { role: 'user', content: 'q' }
  it.each<[unknown, string]>([
    [{}, 'messages: must be a list of at least one message, got undefined'],
    [{ messages: [user] }, 'has no assistant message'],
    [{ messages: [{ role: 'assistant', content: 'a' }] }, 'begins with an assistant message'],
    [{ messages: [user, { role: 'assistant', tool_calls: [call('c', 'x')] }] }, 'ends with a tool call'],
    [
      {
        messages: [user, { role: 'assistant', tool_calls: [{ function: { name: 's', arguments: '{"a' } }] }],
      },
      "messages[1].tool_calls[0].arguments: must be an object, or its JSON text, got '{\"a'",
    ],
    [{ messages: [user, { role: 'assistant', tool_calls: [{}] }] }, 'messages[1].tool_calls[0]: must be'],
    [
      { messages: [user, { role: 'assistant', content: '<think>It never ends' }] },
      'ends with a thought that no answer follows',
    ],
    [{ messages: [{ role: 'robot', content: 'q' }] }, 'messages[0].role: must be'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      "messages[0].content[0].type: must be text, because the policy reads text only, got 'image_url'",
    ],
  ])('says why %j is of no use', (value, message) => {
    expect(() => fromOpenAi(value)).toThrow(expect.objectContaining({ code: 'ERR_TRACE' }))
    expect(() => fromOpenAi(value)).toThrow(message)
  })
})
