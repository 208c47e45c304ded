import pLimit, { type LimitFunction } from 'p-limit'
import type { Tool } from '../tools/types.js'

// A limit protects the service that a tool talks to, so it holds per tool, whichever rollouts call it.
const limits = new WeakMap<Tool, LimitFunction>()

/** The limit on concurrent calls of `tool`; the `concurrency` of the last caller holds. */
export function toolLimit(tool: Tool, concurrency: number): LimitFunction {
  const limit = limits.get(tool) ?? pLimit(concurrency)
  if (limit.concurrency !== concurrency) limit.concurrency = concurrency
  limits.set(tool, limit)
  return limit
}
