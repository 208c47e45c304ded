import type { z } from 'zod'
import { type JsonSchema, resolveInputSchema } from './input-schema.js'
import type { FinishedToolCall, Tool, ToolContext } from './types.js'

export interface ToolDefinition<Input, Schema> {
  /** Letters, digits, _ and -, 64 characters at most. */
  name: string
  /** What the policy reads about it. */
  description: string
  /**
   * Zod 4 schema of an object, or JSON Schema (2020-12, or draft-07 where `$schema` says so) with type
   * "object".
   */
  input: Schema
  /** Milliseconds. Default: the rollout's `toolTimeout`. */
  timeout?: number
  /** What one call costs: a number, or a function of the finished call. 0 or more. */
  cost?: number | ((call: FinishedToolCall) => number)
  run(input: Input, context: ToolContext): Promise<unknown> | unknown
}

// setTimeout takes no more.
const longestTimeout = 2 ** 31 - 1

/** Checks the definition; throws a TypeError or RangeError that names the field. */
export function defineTool<Schema extends z.ZodType>(
  definition: ToolDefinition<z.output<Schema>, Schema>,
): Tool<z.output<Schema>>
export function defineTool<Input = Record<string, unknown>>(
  definition: ToolDefinition<Input, JsonSchema>,
): Tool<Input>
export function defineTool(definition: ToolDefinition<unknown, unknown>): Tool {
  if (typeof definition !== 'object' || definition === null) {
    throw new TypeError(`defineTool: takes { name, description, input, run }, got ${String(definition)}`)
  }
  const { name, description, input, timeout, cost, run } = definition
  checkName(name)
  if (typeof description !== 'string' || description.trim() === '') {
    throw new TypeError(
      `description: must be text that tells the policy what the tool does, got ${JSON.stringify(description)}`,
    )
  }
  if (typeof run !== 'function') throw new TypeError(`run: must be a function, got ${typeof run}`)
  if (timeout !== undefined) checkTimeout(timeout)
  if (cost !== undefined) checkCost(cost)
  return {
    name,
    description,
    ...resolveInputSchema(input),
    ...(timeout !== undefined && { timeout }),
    ...(cost !== undefined && { cost }),
    run,
  }
}

function checkName(name: unknown): void {
  if (typeof name === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(name)) return
  throw new TypeError(`name: must be 1 to 64 letters, digits, "_" or "-", got ${JSON.stringify(name)}`)
}

function checkTimeout(timeout: unknown): void {
  if (typeof timeout !== 'number')
    throw new TypeError(`timeout: must be a number of milliseconds, got ${typeof timeout}`)
  if (!(timeout > 0 && timeout <= longestTimeout)) {
    throw new RangeError(
      `timeout: must be more than 0 and at most ${longestTimeout} milliseconds, got ${timeout}`,
    )
  }
}

function checkCost(cost: unknown): void {
  if (typeof cost === 'function') return
  if (typeof cost !== 'number')
    throw new TypeError(`cost: must be a number or a function of the finished call, got ${typeof cost}`)
  if (!(cost >= 0 && cost < Number.POSITIVE_INFINITY))
    throw new RangeError(`cost: must be a finite number of at least 0, got ${cost}`)
}
