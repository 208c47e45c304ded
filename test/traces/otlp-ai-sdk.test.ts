// Spans that the AI SDK itself makes in a run of its generateText over a scripted model.
import { generateText, stepCountIs, tool } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { fromOtlp } from '../../lib/traces/otlp.js'

interface RecordedSpan {
  name: string
  spanId: string
  traceId: string
  startTimeUnixNano: string
  attributes: { key: string; value: object }[]
}

/** The part of OpenTelemetry's tracer that the SDK uses; attributes are kept as OTLP writes them. */
class RecordingTracer {
  readonly spans: RecordedSpan[] = []

  startActiveSpan<Result>(
    name: string,
    { attributes = {} }: { attributes?: Record<string, unknown> },
    work: (span: object) => Result,
  ): Result {
    const number = this.spans.length
    const span: RecordedSpan = {
      name,
      spanId: `span-${number}`,
      traceId: 'trace',
      startTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt(number)),
      attributes: [],
    }
    this.spans.push(span)
    const setAttributes = (values: Record<string, unknown>) => {
      for (const [key, value] of Object.entries(values)) {
        if (value !== undefined) span.attributes.push({ key, value: toOtlp(value) })
      }
    }
    setAttributes(attributes)
    const nothing = () => {}
    return work({
      setAttributes,
      setAttribute: (key: string, value: unknown) => setAttributes({ [key]: value }),
      addEvent: nothing,
      recordException: nothing,
      setStatus: nothing,
      spanContext: () => ({ traceId: 'trace', spanId: span.spanId, traceFlags: 1 }),
      isRecording: () => true,
      end: nothing,
    })
  }

  startSpan(name: string, options: object = {}) {
    return this.startActiveSpan(name, options, (span) => span)
  }
}

function toOtlp(value: unknown): object {
  if (Array.isArray(value)) return { arrayValue: { values: value.map(toOtlp) } }
  if (typeof value === 'number') return { doubleValue: value }
  return typeof value === 'boolean' ? { boolValue: value } : { stringValue: String(value) }
}

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
}

async function record(): Promise<RecordedSpan[]> {
  const tracer = new RecordingTracer()
  const content = [
    [{ type: 'tool-call', toolCallId: 'c1', toolName: 'search', input: '{"query":"France"}' }],
    [{ type: 'text', text: 'Paris' }],
  ]
  const model = new MockLanguageModelV3({
    doGenerate: async () =>
      ({ content: content.shift(), finishReason: { unified: 'stop' }, usage, warnings: [] }) as never,
  })
  await generateText({
    model,
    system: 'Be brief.',
    prompt: 'Capital of France?',
    tools: {
      search: tool({
        description: 'Full text',
        inputSchema: z.object({ query: z.string() }),
        execute: async () => ({ found: 'Paris' }),
      }),
    },
    stopWhen: stepCountIs(3),
    experimental_telemetry: { isEnabled: true, tracer: tracer as never },
  })
  return tracer.spans
}

const exported = (spans: object[]) => [{ resourceSpans: [{ scopeSpans: [{ spans }] }] }]

describe('fromOtlp', () => {
  it("reads the AI SDK's spans: the whole conversation, once, with its tools", async () => {
    const spans = await record()
    expect(spans.map(({ name }) => name)).toContain('ai.generateText.doGenerate')
    const { conversations, skipped } = fromOtlp(exported(spans))
    expect(skipped).toEqual([])
    expect(conversations).toMatchObject([
      {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Capital of France?' },
          { role: 'assistant', content: '', toolCalls: [{ name: 'search', arguments: { query: 'France' } }] },
          { role: 'tool', content: '{"found":"Paris"}', name: 'search' },
          { role: 'assistant', content: '<answer>Paris</answer>' },
        ],
        tools: [
          {
            name: 'search',
            description: 'Full text',
            parameters: { properties: { query: { type: 'string' } } },
          },
        ],
      },
    ])
  })

  it('names spans of the AI SDK that are of no use', () => {
    const attribute = (value: unknown) => [
      { key: 'ai.prompt.messages', value: { stringValue: JSON.stringify(value) } },
    ]
    const image = [{ role: 'user', content: [{ type: 'file', mediaType: 'image/png', data: '' }] }]
    const { skipped } = fromOtlp(
      exported([
        { name: 'a', attributes: attribute(image) },
        { name: 'b', attributes: attribute([{ role: 'user', content: 'Capital of France?' }]) },
        { name: 'c', attributes: attribute('text') },
      ]),
    )
    expect(skipped.map(({ reason }) => reason)).toEqual([
      "ai.prompt.messages[0].content[0].type: must be text, because the policy reads text only, got 'file'",
      "ai.prompt.messages: must be a list of messages, got 'text'",
      'has no assistant message',
    ])
  })
})
