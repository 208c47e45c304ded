import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runToolCall } from '../../lib/rollout/run-tool-call.js'
import { rolloutSpan, toolCallSpan } from '../../lib/rollout/spans.js'
import type { Rollout } from '../../lib/rollout/types.js'
import { defineTool } from '../../lib/tools/define-tool.js'

const exporter = new InMemorySpanExporter()

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  )
})
afterEach(() => exporter.reset())
afterAll(() => {
  trace.disable()
  context.disable()
})

const search = defineTool({
  name: 'search',
  description: 'Finds things',
  input: z.object({ query: z.string() }),
  // The tool makes a span of its own, as an instrumented HTTP client does.
  run: ({ query }) =>
    trace.getTracer('app').startActiveSpan('GET', (span) => {
      span.end()
      if (query === 'fail') throw new Error('out of order')
      return 'found'
    }),
})

const settings = {
  tools: [search],
  toolTimeout: 1000,
  toolConcurrency: 1,
  maxObservationCharacters: 1000,
  rolloutId: 'task#0',
  rolloutEnded: new AbortController().signal,
  signal: new AbortController().signal,
}

const call = (query: string) => runToolCall({ kind: 'call', name: 'search', arguments: { query } }, settings)

const named = (name: string) => exporter.getFinishedSpans().find((span) => span.name === name) as ReadableSpan
const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId

describe('spans', () => {
  it('nest: rollout, tool call, and what the tool does', async () => {
    const played = { promptTokens: 3, mask: [0, 0, 0, 1, 1], end: 'answer', turns: 2 }
    await rolloutSpan({ id: 'task#0', taskId: 'task' }, async () => {
      const record = await call('Lima')
      return { ...played, toolCalls: [record] } as unknown as Rollout
    })
    const [rollout, tool, http] = [named('invoke_agent'), named('execute_tool search'), named('GET')]
    expect(parentOf(http)).toBe(tool.spanContext().spanId)
    expect(parentOf(tool)).toBe(rollout.spanContext().spanId)
    expect(rollout.attributes).toEqual({
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.conversation.id': 'task#0',
      'hdpo.task.id': 'task',
      'gen_ai.usage.input_tokens': 3,
      'gen_ai.usage.output_tokens': 2,
      'hdpo.end': 'answer',
      'hdpo.turns': 2,
      'hdpo.tool_calls': 1,
    })
    expect(tool.attributes).toMatchObject({
      'gen_ai.tool.name': 'search',
      'hdpo.outcome': 'ok',
      'hdpo.cost': 1,
    })
    expect(JSON.stringify([rollout.attributes, tool.attributes])).not.toContain('Lima')
  })

  it('say which calls failed', async () => {
    expect((await call('fail')).outcome).toBe('error')
    expect(named('execute_tool search').status.code).toBe(2)
    expect(named('execute_tool search').attributes['error.type']).toBe('error')
  })

  it('end where the work rejects', async () => {
    await expect(toolCallSpan('x', () => Promise.reject(new TypeError('no')))).rejects.toThrow('no')
    expect(named('execute_tool x').attributes['error.type']).toBe('TypeError')
  })
})
