// OpenTelemetry spans of rollouts and tool calls, named by its GenAI conventions. They go only to the tracing that the process
// around hdpo has registered. Questions, calls and answers are not in them: those are in rollouts/.
import { type Span, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Rollout, ToolCallRecord } from './types.js'

// Asked for at each use: a service may register its tracing after it has imported hdpo.
const tracer = () => trace.getTracer('hdpo')

/** A span 'invoke_agent' around `play`; the calls made in it are inside. */
export function rolloutSpan(
  identity: { id: string; taskId: string },
  play: () => Promise<Rollout>,
): Promise<Rollout> {
  const attributes = {
    'gen_ai.operation.name': 'invoke_agent',
    'gen_ai.conversation.id': identity.id,
    'hdpo.task.id': identity.taskId,
  }
  return inSpan('invoke_agent', attributes, play, (span, rollout) => {
    span.setAttributes({
      'gen_ai.usage.input_tokens': rollout.promptTokens,
      'gen_ai.usage.output_tokens': Array.from(rollout.mask).filter((sampled) => sampled !== 0).length,
      'hdpo.end': rollout.end,
      'hdpo.turns': rollout.turns,
      'hdpo.tool_calls': rollout.toolCalls.length,
    })
  })
}

/** A span 'execute_tool <name>' around one call, inside which the tool runs: its own spans are below it. */
export function toolCallSpan(name: string, call: () => Promise<ToolCallRecord>): Promise<ToolCallRecord> {
  const attributes = { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': name }
  return inSpan(name === '' ? 'execute_tool' : `execute_tool ${name}`, attributes, call, (span, record) => {
    span.setAttributes({ 'hdpo.outcome': record.outcome, 'hdpo.cost': record.cost })
    if (record.outcome === 'ok') return
    span.setAttribute('error.type', record.outcome)
    span.setStatus({ code: SpanStatusCode.ERROR })
  })
}

function inSpan<Result>(
  name: string,
  attributes: Record<string, string>,
  work: () => Promise<Result>,
  describe: (span: Span, result: Result) => void,
): Promise<Result> {
  return tracer().startActiveSpan(name, { attributes }, async (span) => {
    try {
      const result = await work()
      if (span.isRecording()) describe(span, result)
      return result
    } catch (error) {
      span.setAttribute('error.type', error instanceof Error ? error.name : typeof error)
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  })
}
