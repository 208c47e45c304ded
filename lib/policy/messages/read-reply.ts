// An assistant's message in the reply of a chat API, which may be of any make.
import { jsonText } from '../../core/exact-json.js'
import { isRecord } from '../../core/is-record.js'
import { malformed, type ParsedToolCall, readJson } from '../calls/parsed-call.js'
import { joined, readContent } from './content.js'
import { checkNesting, type Fail } from './message-reading.js'
import { thoughtIn } from './reasoning.js'

/** A message in the API's form, with whatever other fields the API gave it. */
export interface WireMessage {
  role: string
  content?: unknown
  tool_calls?: WireToolCall[]
  tool_call_id?: string
  [field: string]: unknown
}

export interface WireToolCall {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

export interface ReadReply {
  /** The text parts of the content. */
  content: string
  /** The thought that the API keeps apart from the content; '' without one. */
  thought: string
  calls: { id: string; call: ParsedToolCall }[]
  /**
   * The message as it goes back to the API: as it came, because reasoning models refuse a history without their reasoning fields,
   * apart from what APIs would refuse: calls get a unique id and arguments as text where they had none.
   */
  wire: WireMessage
}

/** `idOf` gives a call the id under which its result goes back (call-id-source.ts). */
export function readReply(value: unknown, fail: Fail, idOf: (given: unknown) => string): ReadReply {
  if (!isRecord(value)) return fail({ option: 'message', expected: 'an object', given: value })
  const { text, thought } = replyContent(value, fail)
  const given = callsIn(value, fail)
  const wired = given.map((call, index) => wireCall(call, `message.tool_calls[${index}]`, fail, idOf))
  const { function_call: legacy, ...message } = value
  return {
    content: text,
    thought: thoughtIn(value) || thought,
    calls: wired.map((call) => ({ id: call.id, call: parsedCall(call.function) })),
    wire: {
      ...(legacy == null ? value : message),
      role: 'assistant',
      ...(wired.length > 0 && { tool_calls: wired }),
    },
  }
}

/** The text and the thinking parts of a reply's content, null and absent content included; a judge's verdict stands in the text. */
export function replyContent(
  message: Record<string, unknown>,
  fail: Fail,
): { text: string; thought: string } {
  const content = message.content ?? message.refusal ?? ''
  const { text, thought } = readContent(content, 'message.content', fail, true)
  return { text, thought: joined([thought]) }
}

function callsIn(message: Record<string, unknown>, fail: Fail): unknown[] {
  const { tool_calls: calls, function_call: legacy } = message
  if (calls == null) return legacy == null ? [] : [{ function: legacy }]
  return Array.isArray(calls)
    ? calls
    : fail({ option: 'message.tool_calls', expected: 'a list', given: calls })
}

function wireCall(
  value: unknown,
  option: string,
  fail: Fail,
  idOf: (given: unknown) => string,
): WireToolCall {
  const made = isRecord(value) ? value.function : undefined
  if (!isRecord(value) || !isRecord(made) || typeof made.name !== 'string') {
    return fail({ option, expected: '{ id, type: "function", function: { name, arguments } }', given: value })
  }
  const input = made.arguments ?? '{}'
  if (typeof input !== 'string' && !isRecord(input)) {
    return fail({ option: `${option}.arguments`, expected: 'JSON text or an object', given: input })
  }
  checkNesting(input, `${option}.arguments`, fail)
  const text = typeof input === 'string' ? input : (jsonText(input) ?? '{}')
  return {
    ...value,
    id: idOf(value.id),
    type: 'function',
    function: { ...made, name: made.name, arguments: text },
  }
}

function parsedCall({ name, arguments: text }: WireToolCall['function']): ParsedToolCall {
  const read = text.trim() === '' ? { value: {} } : readJson(text, 'arguments')
  return 'problem' in read
    ? malformed(text, read.problem)
    : { kind: 'call', name, arguments: read.value ?? {} }
}
