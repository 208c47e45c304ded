import { parseJsonKeeping } from '../core/exact-json.js'
import { UnusableTrace } from './conversation.js'

export function describe(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** Arguments of a call: JSON text, or the value itself. Numbers stay as they were written. Garbled arguments are
 * refused, because the policy would learn to write them. */
export function parseArguments(value: unknown, where: string): unknown {
  if (value === undefined || value === null || value === '') return {}
  if (typeof value !== 'string') return value
  try {
    return parseJsonKeeping(value, 'text')
  } catch (error) {
    throw new UnusableTrace(`${where}: arguments are not JSON: ${describe(value)}`, { cause: error })
  }
}
