import { describe, expect, it } from 'vitest'
import { fromOtlp } from '../../lib/traces/otlp.js'

const text = (key: string, value: string) => ({ key, value: { stringValue: value } })
const json = (key: string, value: unknown) => text(key, JSON.stringify(value))
let spans = 0
const span = (change: object) => ({
  traceId: 'trace-1',
  spanId: `span-${++spans}`,
  name: 'chat model',
  startTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt(spans)),
  ...change,
})
const exported = (...list: object[]) => ({
  resourceSpans: [{ resource: {}, scopeSpans: [{ scope: {}, spans: list }] }],
})

const expected = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Capital of France?' },
  {
    role: 'assistant',
    content: '',
    toolCalls: [{ name: 'search', arguments: { query: 'France' }, id: 'c1' }],
  },
  { role: 'tool', content: 'Paris', name: 'search', callId: 'c1' },
  { role: 'assistant', content: '<answer>Paris</answer>' },
]

const question = { role: 'user', parts: [{ type: 'text', content: 'Capital of France?' }] }
const asking = {
  role: 'assistant',
  parts: [
    { type: 'reasoning', content: 'I do not know.' },
    { type: 'tool_call', id: 'c1', name: 'search', arguments: { query: 'France' } },
  ],
}
const found = { role: 'tool', parts: [{ type: 'tool_call_response', id: 'c1', response: 'Paris' }] }
const answering = { role: 'assistant', parts: [{ type: 'text', content: 'Paris' }], finish_reason: 'stop' }
const instructions = json('gen_ai.system_instructions', [{ type: 'text', content: 'Be brief.' }])
const tools = json('gen_ai.tool.definitions', [
  { type: 'function', name: 'search', description: 'Full text', parameters: { type: 'object' } },
])

describe('fromOtlp', () => {
  it('reads messages of the current conventions and keeps the longest of an agent run', () => {
    const { conversations, skipped } = fromOtlp([
      exported(
        span({ name: 'POST /v1/chat', attributes: [text('http.method', 'POST')] }),
        span({
          attributes: [
            instructions,
            json('gen_ai.input.messages', [question]),
            json('gen_ai.output.messages', [asking]),
          ],
        }),
        span({ name: 'execute_tool search', attributes: [text('gen_ai.tool.name', 'search')] }),
        span({
          attributes: [
            instructions,
            tools,
            json('gen_ai.input.messages', [question, asking, found]),
            json('gen_ai.output.messages', [answering]),
          ],
        }),
      ),
    ])
    expect(skipped).toEqual([])
    expect(conversations).toEqual([
      {
        messages: expected.map((message) =>
          message.toolCalls ? { ...message, thought: 'I do not know.' } : message,
        ),
        tools: [{ name: 'search', description: 'Full text', parameters: { type: 'object' } }],
      },
    ])
  })

  it('reads structured values, and content that is on an event', () => {
    const list = (...values: object[]) => ({ arrayValue: { values } })
    const map = (entries: Record<string, object>) => ({
      kvlistValue: { values: Object.entries(entries).map(([key, value]) => ({ key, value })) },
    })
    const part = (content: string) =>
      map({ type: { stringValue: 'text' }, content: { stringValue: content } })
    const message = (role: string, content: string) =>
      map({ role: { stringValue: role }, parts: list(part(content)) })
    const { conversations } = fromOtlp([
      exported(
        span({
          attributes: [],
          events: [
            {
              name: 'gen_ai.client.inference.operation.details',
              attributes: [
                { key: 'gen_ai.input.messages', value: list(message('user', 'q')) },
                { key: 'gen_ai.output.messages', value: list(message('assistant', 'a')) },
              ],
            },
          ],
        }),
      ),
    ])
    expect(conversations).toEqual([
      {
        messages: [
          { role: 'user', content: 'q' },
          { role: 'assistant', content: '<answer>a</answer>' },
        ],
      },
    ])
  })

  const oldCall = [
    { id: 'c1', type: 'function', function: { name: 'search', arguments: '{"query": "France"}' } },
  ]

  it('reads one event a message, as the conventions had it before', () => {
    const event = (name: string, ...attributes: object[]) => ({ name, attributes })
    const { conversations } = fromOtlp([
      exported(
        span({
          events: [
            event('gen_ai.system.message', text('content', 'Be brief.')),
            event('gen_ai.user.message', text('content', 'Capital of France?')),
            event('gen_ai.assistant.message', json('tool_calls', oldCall)),
            event('gen_ai.tool.message', text('id', 'c1'), text('content', 'Paris')),
            event(
              'gen_ai.choice',
              { key: 'index', value: { intValue: '0' } },
              json('message', { content: 'Paris' }),
            ),
            event(
              'gen_ai.choice',
              { key: 'index', value: { intValue: '1' } },
              json('message', { content: 'Lyon' }),
            ),
          ],
        }),
      ),
    ])
    expect(conversations).toEqual([{ messages: expected }])
  })

  it("reads OpenLLMetry's numbered attributes", () => {
    const { conversations } = fromOtlp([
      exported(
        span({
          attributes: [
            text('gen_ai.prompt.0.role', 'system'),
            text('gen_ai.prompt.0.content', 'Be brief.'),
            text('gen_ai.prompt.1.role', 'user'),
            text('gen_ai.prompt.1.content', 'Capital of France?'),
            text('gen_ai.prompt.2.role', 'assistant'),
            text('gen_ai.prompt.2.tool_calls.0.id', 'c1'),
            text('gen_ai.prompt.2.tool_calls.0.name', 'search'),
            text('gen_ai.prompt.2.tool_calls.0.arguments', '{"query": "France"}'),
            text('gen_ai.prompt.3.role', 'tool'),
            text('gen_ai.prompt.3.tool_call_id', 'c1'),
            text('gen_ai.prompt.3.content', 'Paris'),
            text('gen_ai.completion.0.role', 'assistant'),
            text('gen_ai.completion.0.content', 'Paris'),
          ],
        }),
      ),
    ])
    expect(conversations).toEqual([{ messages: expected }])
  })

  it('keeps the same conversation of two traces, once each, and names what is of no use', () => {
    const attributes = [
      json('gen_ai.input.messages', [question]),
      json('gen_ai.output.messages', [answering]),
    ]
    const image = json('gen_ai.input.messages', [{ role: 'user', parts: [{ type: 'blob', content: '' }] }])
    const cut = [json('gen_ai.input.messages', [question]), json('gen_ai.output.messages', [asking])]
    const { conversations, skipped } = fromOtlp([
      exported(span({ attributes }), span({ attributes }), span({ attributes, traceId: 'trace-2' })),
      exported(
        span({ attributes: [image], spanId: 'x' }),
        span({ attributes: cut, traceId: 'trace-3', spanId: 'y' }),
      ),
    ])
    expect(conversations).toHaveLength(2)
    expect(skipped).toEqual([
      {
        span: 'chat model x',
        reason:
          "gen_ai.input.messages[0].parts[0].type: must be text, because the policy reads text only, got 'blob'",
      },
      { span: 'chat model y', reason: 'ends with a tool call that nothing came of' },
    ])
  })
})
