// What a finished call costs, in the unit of the tools' `cost`.
import { InvalidOptionError } from '../core/option-error.js'
import type { Tool } from '../tools/types.js'
import type { ToolCallRecord } from './types.js'

/** The cost of a call of a tool without `cost`: T calls then cost T, and 1 / (1 + sum of costs) is HDPO's 1 / (T + 1). */
const plainCallCost = 1

/**
 * A call that reached no tool (malformed, unknown) costs as much as the most expensive tool with a fixed cost: never less than what
 * the policy may have meant. Throws what a cost function throws, and InvalidOptionError where it returns no cost.
 */
export function costOfCall(record: Omit<ToolCallRecord, 'cost'>, tools: readonly Tool[]): number {
  const tool = tools.find(({ name }) => name === record.name)
  if (!tool || record.outcome === 'malformed') return dearestCost(tools)
  const { cost = plainCallCost } = tool
  const { name, arguments: input, outcome, observation, milliseconds } = record
  const value: unknown =
    typeof cost === 'function' ? cost({ name, arguments: input, outcome, observation, milliseconds }) : cost
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value
  // Whoever gave an async function is told so by this error, and not by another one that nobody handles.
  if (value instanceof Promise) value.catch(() => undefined)
  throw new InvalidOptionError(`tool "${name}".cost`, 'a number of at least 0', value)
}

/** The cost of the most expensive tool with a fixed one; 1 where none has. */
export function dearestCost(tools: readonly Tool[]): number {
  const fixed = tools.flatMap(({ cost = plainCallCost }) => (typeof cost === 'number' ? [cost] : []))
  return fixed.length === 0 ? plainCallCost : Math.max(...fixed)
}

/** Sum of the costs of a rollout's calls. */
export function toolCost({ toolCalls }: { toolCalls: readonly Pick<ToolCallRecord, 'cost'>[] }): number {
  return toolCalls.reduce((sum, { cost = plainCallCost }) => sum + cost, 0)
}

/** Sum of the seconds that a rollout's calls took. */
export function toolSeconds({
  toolCalls,
}: {
  toolCalls: readonly Pick<ToolCallRecord, 'milliseconds'>[]
}): number {
  return toolCalls.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000
}
