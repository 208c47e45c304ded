// The calls of an assistant's message: tool_calls, the older function_call, or hdpo's own toolCalls.
import { parseJsonKeeping } from '../../core/exact-json.js'
import { ExactNumber } from '../../core/exact-number.js'
import { isRecord } from '../../core/is-record.js'
import type { ToolCall } from '../types.js'
import { withoutFilledNulls } from './filled-nulls.js'
import { checkNesting, type MessageReading } from './message-reading.js'

/** The calls in order. Without `strict` an id that is missing, null or empty is left out. */
export function readCalls(
  message: Record<string, unknown>,
  option: string,
  reading: MessageReading,
): ToolCall[] {
  const { strict = false, fail } = reading
  const own = !strict && message.tool_calls == null && message.toolCalls != null
  const field = `${option}.${own ? 'toolCalls' : 'tool_calls'}`
  const given = own ? message.toolCalls : message.tool_calls
  if (given === undefined || given === null) {
    const legacy = strict ? undefined : message.function_call
    return legacy == null ? [] : [readCall({ function: legacy }, `${option}.function_call`, reading)]
  }
  if (!Array.isArray(given)) return fail({ option: field, expected: 'a list of calls', given })
  const calls = given.map((call: unknown, index) => readCall(call, `${field}[${index}]`, reading, own))
  if (strict) checkIds(calls, field, reading)
  return calls
}

function readCall(value: unknown, option: string, reading: MessageReading, own = false): ToolCall {
  const { strict = false, fail } = reading
  const made = isRecord(value) && isRecord(value.function) ? value.function : strict ? undefined : value
  if (!isRecord(value) || !isRecord(made) || typeof made.name !== 'string' || made.name === '') {
    const expected = own ? '{ name, arguments }' : '{ id, type: "function", function: { name, arguments } }'
    return fail({ option, expected, given: value })
  }
  const id = callIdOf(value.id)
  if (strict && id === undefined) return fail({ option: `${option}.id`, expected: 'text', given: value.id })
  return {
    name: made.name,
    arguments: readArguments(made.name, made.arguments, `${option}.arguments`, reading, own),
    ...(id !== undefined && { id }),
  }
}

/** The id as text; undefined where there is none. */
export function callIdOf(id: unknown): string | undefined {
  if (typeof id === 'number' || id instanceof ExactNumber) return String(id)
  return typeof id === 'string' && id !== '' ? id : undefined
}

function readArguments(
  tool: string,
  given: unknown,
  option: string,
  { strict = false, fail, tools = [] }: MessageReading,
  own: boolean,
): unknown {
  const isText = typeof given === 'string'
  const value = isText ? parsed(given) : (given ?? {})
  checkNesting(value, option, fail)
  if (isRecord(value)) {
    if (isText || own) return value
    return withoutFilledNulls(value, tools.find(({ name }) => name === tool)?.parameters)
  }
  // A client may keep another model's call as it was written.
  if (strict && isText) return value === undefined ? given : value
  return fail({ option, expected: 'an object, or its JSON text', given })
}

/** Numbers stay as they were written: they are part of what is trained. Undefined where the text is no JSON. */
function parsed(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return parseJsonKeeping(text, 'text') ?? {}
  } catch {
    return undefined
  }
}

function checkIds(calls: readonly ToolCall[], option: string, { fail }: MessageReading): void {
  const twice = calls.findIndex(({ id }, index) => calls.findIndex((other) => other.id === id) !== index)
  if (twice === -1) return
  fail({
    option: `${option}[${twice}].id`,
    expected: 'another id than that of the calls before it',
    given: calls[twice]?.id,
  })
}
