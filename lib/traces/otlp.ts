// OpenTelemetry traces of GenAI calls, as a collector exports them (OTLP JSON), made into conversations. A span is read for:
//   1. gen_ai.input.messages, gen_ai.output.messages, gen_ai.system_instructions and gen_ai.tool.definitions, as attributes
//      of the span or of an event of it (the current semantic conventions),
//   2. gen_ai.system.message, .user.message, .assistant.message, .tool.message and gen_ai.choice events (the older conventions),
//   3. gen_ai.prompt.0.role, gen_ai.completion.0.content and so on (OpenLLMetry),
//   4. ai.prompt.messages, ai.response.text and so on (Vercel AI SDK).
// An agent's spans repeat the conversation so far: only the longest version of each conversation is kept.

import { jsonText } from '../core/exact-json.js'
import { isRecord } from '../core/is-record.js'
import type { Message, ToolDescription } from '../policy/types.js'
import {
  finishConversation,
  type ImportedConversation,
  type ImportOptions,
  UnusableTrace,
} from './conversation.js'
import { readTraceTools } from './openai.js'
import { aiSdkTools, fromAiSdkSpan } from './otlp-ai-sdk.js'
import { fromEvents } from './otlp-events.js'
import { fromFlatAttributes } from './otlp-flat.js'
import { fromParts, readSystem } from './otlp-parts.js'
import { type Attributes, readAttributes } from './otlp-values.js'
import { readWritten, type WrittenMessage } from './written-message.js'

interface TraceImport {
  conversations: ImportedConversation[]
  /** Spans that hold messages but no conversation to train on, with the reason. */
  skipped: { span: string; reason: string }[]
}

interface SpanConversation {
  span: string
  trace: string
  /** Nanoseconds since 1970, as text: all have the same length, so that they sort as numbers do. */
  start: string
  messages: Message[]
  tools: ToolDescription[] | undefined
}

/** `exports`: the exports of a collector, each { resourceSpans: [...] }. */
export function fromOtlp(exports: readonly unknown[], options: ImportOptions = {}): TraceImport {
  const skipped: TraceImport['skipped'] = []
  const found = exports.flatMap(spansOf).flatMap((span) => {
    try {
      const read = readSpan(span)
      return read ? [read] : []
    } catch (error) {
      if (!(error instanceof UnusableTrace)) throw error
      skipped.push({ span: nameOf(span), reason: error.message })
      return []
    }
  })
  const conversations = longestOnly(found).flatMap(({ span, messages, tools }) => {
    try {
      return [finishConversation(messages, tools, options)]
    } catch (error) {
      if (!(error instanceof UnusableTrace)) throw error
      skipped.push({ span, reason: error.message })
      return []
    }
  })
  return { conversations, skipped }
}

export function isOtlp(value: unknown): boolean {
  return isRecord(value) && (Array.isArray(value.resourceSpans) || Array.isArray(value.resource_spans))
}

function spansOf(value: unknown): Record<string, unknown>[] {
  if (!isRecord(value)) throw new UnusableTrace('an OTLP export must be { resourceSpans: [...] }')
  const list = (of: Record<string, unknown>, ...names: string[]) =>
    (names.map((name) => of[name]).find(Array.isArray) ?? []).filter(isRecord)
  return list(value, 'resourceSpans', 'resource_spans')
    .flatMap((resource) => list(resource, 'scopeSpans', 'scope_spans', 'instrumentationLibrarySpans'))
    .flatMap((scope) => list(scope, 'spans'))
}

/** Undefined for spans that hold no messages: tool executions, HTTP requests, whole agents. */
function readSpan(span: Record<string, unknown>): SpanConversation | undefined {
  const attributes = readAttributes(span.attributes)
  const events = (Array.isArray(span.events) ? span.events : []).filter(isRecord).map((event) => ({
    name: String(event.name),
    attributes: readAttributes(event.attributes),
  }))
  // Content may be on the span or, to keep spans small, on one of its events.
  const sources = [attributes, ...events.map((event) => event.attributes)]
  const written =
    readParts(sources) ?? fromEvents(events) ?? fromFlatAttributes(attributes) ?? fromAiSdkSpan(attributes)
  if (!written || written.length === 0) return undefined
  const definitions = sources
    .map((source) => source['gen_ai.tool.definitions'])
    .find((value) => value !== undefined)
  const tools = readTraceTools(definitions) ?? aiSdkTools(attributes)
  return {
    span: nameOf(span),
    trace: String(attributes['gen_ai.conversation.id'] ?? span.traceId ?? span.trace_id ?? ''),
    start: String(span.startTimeUnixNano ?? span.start_time_unix_nano ?? '').padStart(20, '0'),
    messages: readWritten(written, tools),
    tools,
  }
}

function readParts(sources: readonly Attributes[]): WrittenMessage[] | undefined {
  const source = sources.find((attributes) => attributes['gen_ai.input.messages'] !== undefined)
  if (!source) return undefined
  return [
    ...readSystem(source['gen_ai.system_instructions']),
    ...fromParts(source['gen_ai.input.messages'], 'gen_ai.input.messages'),
    ...fromParts(source['gen_ai.output.messages'] ?? [], 'gen_ai.output.messages').slice(0, 1),
  ]
}

/** Conversations in order of their starts, without those that another one of the same trace begins with. */
function longestOnly(found: readonly SpanConversation[]): SpanConversation[] {
  const sorted = [...found].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))
  const texts = sorted.map(({ messages }) => messages.map(comparable))
  return sorted.filter((one, index) => {
    const text = texts[index] as string[]
    return !sorted.some((other, place) => {
      if (place === index || other.trace !== one.trace) return false
      const longer = texts[place] as string[]
      const begins = text.length <= longer.length && text.every((line, at) => line === longer[at])
      // Where two are the same, the first stays.
      return begins && (text.length < longer.length || place < index)
    })
  })
}

/** What a later span repeats of a message: often without its thought, and with other ids. */
function comparable({ role, content, toolCalls = [] }: Message): string {
  const calls = toolCalls.map(({ name, arguments: input }) => [name, input])
  return jsonText([role, content, calls]) as string
}

function nameOf(span: Record<string, unknown>): string {
  return `${String(span.name ?? 'span')} ${String(span.spanId ?? span.span_id ?? '')}`.trim()
}
