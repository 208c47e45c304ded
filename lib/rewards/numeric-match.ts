import type { Task } from '../rollout/types.js'
import type { AnswerReward } from './types.js'

export interface NumericMatchOptions {
  /** Share of the right answer. Default 1e-6. */
  relativeTolerance?: number
  /** Default 0. */
  absoluteTolerance?: number
}

// 1234.5, -1,234.5, .5, 1e-3; nothing else on the line.
const decimal = /^[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.|\.\d+)?(?:e[+-]?\d+)?$/i

/**
 * Right where |given - right| <= max(absoluteTolerance, relativeTolerance * |right|). An answer that is no
 * number is wrong.
 */
export function numericMatch({
  relativeTolerance = 1e-6,
  absoluteTolerance = 0,
}: NumericMatchOptions = {}): AnswerReward {
  checkTolerance('relativeTolerance', relativeTolerance)
  checkTolerance('absoluteTolerance', absoluteTolerance)
  return ({ finalAnswer }, task) => {
    const right = rightNumber(task)
    const given = finalAnswer === undefined ? undefined : parseNumber(finalAnswer)
    if (given === undefined) return false
    return Math.abs(given - right) <= Math.max(absoluteTolerance, relativeTolerance * Math.abs(right))
  }
}

function rightNumber({ id, answer }: Task): number {
  const right = typeof answer === 'string' ? parseNumber(answer) : answer
  if (typeof right === 'number' && Number.isFinite(right)) return right
  throw new TypeError(
    `task "${id}": numericMatch needs answer to be a finite number, got ${JSON.stringify(answer)}`,
  )
}

function parseNumber(text: string): number | undefined {
  const trimmed = text.trim()
  if (!/\d/.test(trimmed) || !decimal.test(trimmed)) return undefined
  const value = Number(trimmed.replaceAll(',', ''))
  return Number.isFinite(value) ? value : undefined
}

function checkTolerance(name: string, value: unknown): void {
  if (typeof value !== 'number') throw new TypeError(`${name}: must be a number, got ${typeof value}`)
  if (!(value >= 0 && Number.isFinite(value)))
    throw new RangeError(`${name}: must be at least 0, got ${value}`)
}
