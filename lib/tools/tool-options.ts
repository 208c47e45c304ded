// Options of defineTool.
import { z } from 'zod'
import { callback, kind, milliseconds, notNegative, textOf } from '../core/option-kinds.js'
import type { FinishedToolCall, ToolContext } from './types.js'

export const toolName = textOf('1 to 64 letters, digits, "_" or "-"', /^[A-Za-z0-9_-]{1,64}$/)
export const toolCost = z.union([notNegative, callback<(call: FinishedToolCall) => number>()])
export const toolDescription = textOf(
  'text that tells the policy what the tool does',
  (text) => text.trim() !== '',
)

export const toolShape = {
  /** Letters, digits, _ and -; at most 64 characters. */
  name: toolName,
  /** The description that the policy reads. */
  description: toolDescription,
  /** Zod 4 schema of an object, or JSON Schema (2020-12, or draft-07 where `$schema` says so) with type "object". */
  input: kind<object>(
    'a zod schema or a JSON Schema object',
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  ),
  /** Milliseconds per call. Default: the rollout's `toolTimeout`. */
  timeout: milliseconds.optional(),
  /** What one call costs: a number, or a function of the finished call; at least 0. Default: the reward counts calls. */
  cost: toolCost.optional(),
  /** What its results depend on, as JSON, for the comparison when a run is resumed. Default: a hash of the text of `run`. */
  identity: z.record(z.string(), z.unknown()).optional(),
  /** Runs the call and returns its result. */
  run: callback<(input: never, context: ToolContext) => unknown>(),
}
export const toolOptions = z.strictObject(toolShape)
