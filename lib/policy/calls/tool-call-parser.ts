// Calls in what a policy wrote, in the format of its chat template: tagged-calls.ts, whole-calls.ts and mistral-calls.ts have one
// each. What a policy thinks is not what it says: nothing inside a thought at a turn's beginning is a call.
import type { ToolFormat } from '../types.js'
import { mistralTag, parseMistralCalls } from './mistral-calls.js'
import type { ParsedToolCall } from './parsed-call.js'
import { parseTaggedCalls } from './tagged-calls.js'
import { afterThinking } from './thoughts.js'
import { parseWholeCalls } from './whole-calls.js'

export type { ParsedToolCall }

/** How a turn is read. */
export interface TurnReading {
  /** Default: 'hermes'. */
  format?: ToolFormat
  /** The prompt opened a thought, which the turn begins inside. Default: false. */
  inThought?: boolean
}

/** In the order of the text. */
export function parseToolCalls(
  text: string,
  { format = 'hermes', inThought = false }: TurnReading = {},
): ParsedToolCall[] {
  return parseSaidCalls(afterThinking(text, inThought), format)
}

/** Of what follows the thought. */
export function parseSaidCalls(said: string, format: ToolFormat): ParsedToolCall[] {
  if (format === 'hermes') return parseTaggedCalls(said)
  return format === 'llama3-json' ? parseWholeCalls(said) : parseMistralCalls(said, format)
}

/** The text without its calls, as a message's content beside `toolCalls`. */
export function withoutToolCalls(
  text: string,
  { format = 'hermes', inThought = false }: TurnReading = {},
): string {
  const said = afterThinking(text, inThought)
  const thought = text.slice(0, text.length - said.length)
  if (format === 'llama3-json') return thought
  if (format === 'hermes') return thought + said.replace(/\s*<tool_call>[\s\S]*?<\/tool_call>\s*/g, '')
  const [before = ''] = said.split(mistralTag, 1)
  return thought + before.trimEnd()
}
