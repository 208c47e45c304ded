// A call as read from the text that a policy wrote.
import { jsonProblem, parseJson } from '../../core/exact-json.js'
import type { ToolCall } from './tool-call.js'

/** A malformed one says why, for the policy to read, and keeps its text. */
export type ParsedToolCall =
  | ({ kind: 'call' } & ToolCall)
  | { kind: 'malformed'; text: string; problem: string }

export function malformed(text: string, problem: string): ParsedToolCall {
  return { kind: 'malformed', text, problem }
}

/** The value of a JSON text, or why there is none. `at`: what the value is called in that ('arguments'). */
export function readJson(text: string, at = ''): { value: unknown } | { problem: string } {
  try {
    return { value: parseJson(text, at) }
  } catch (error) {
    return { problem: jsonProblem(error, 'not valid JSON') }
  }
}

/**
 * Reads { name, arguments, id }, as Hermes and Mistral write it; only the name has to be there. `text` is what the value was
 * read from.
 */
export function callOf(value: unknown, text: string): ParsedToolCall {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return malformed(text, 'must be a JSON object')
  }
  const { name, arguments: input = {}, id } = value as { name?: unknown; arguments?: unknown; id?: unknown }
  if (typeof name !== 'string' || name === '') return malformed(text, '"name" must be the name of a tool')
  return { kind: 'call', name, arguments: input, ...(typeof id === 'string' && { id }) }
}

/** The calls if there are any and all of them could be read, else undefined. */
export function allRead(parsed: readonly ParsedToolCall[]): ToolCall[] | undefined {
  const read = parsed.flatMap((call): ToolCall[] => {
    if (call.kind === 'malformed') return []
    const { kind: _, ...rest } = call
    return [rest]
  })
  return read.length > 0 && read.length === parsed.length ? read : undefined
}
