import pLimit, { type LimitFunction } from 'p-limit'
import type { Tool } from '../tools/types.js'

// What a limit protects is what a tool talks to, so it holds for the tool, whichever rollouts call it.
const limits = new WeakMap<Tool, LimitFunction>()

/** The places for calls of `tool`; the `concurrency` asked for last holds. */
export function toolLimit(tool: Tool, concurrency: number): LimitFunction {
  const limit = limits.get(tool) ?? pLimit(concurrency)
  if (limit.concurrency !== concurrency) limit.concurrency = concurrency
  limits.set(tool, limit)
  return limit
}
