import { z } from 'zod'
import { notNegative } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { Task } from '../rollout/types.js'
import { identified } from './reward-identity.js'
import { wrongTaskAnswer } from './task-answer.js'
import type { AnswerReward } from './types.js'

export const numericMatchShape = {
  /** How far off an answer may be, as a share of the right one. Default 1e-6. */
  relativeTolerance: notNegative.default(1e-6),
  /** How far off an answer may be. Default 0. */
  absoluteTolerance: notNegative.default(0),
}
const numericMatchOptions = z.strictObject(numericMatchShape)
export interface NumericMatchOptions extends OptionsOf<typeof numericMatchShape> {}

// 1234.5, -1,234.5, .5, 1e-3; nothing else on the line.
const decimal = /^[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.|\.\d+)?(?:e[+-]?\d+)?$/i

/**
 * Right if |given - right| <= max(absoluteTolerance, relativeTolerance * |right|). An answer that is no number
 * is wrong.
 */
export function numericMatch(options: NumericMatchOptions = {}): AnswerReward {
  const { relativeTolerance, absoluteTolerance } = readOptions(numericMatchOptions, options, 'numericMatch')
  return identified('numeric-match', { relativeTolerance, absoluteTolerance }, ({ finalAnswer }, task) => {
    const right = rightNumber(task)
    const given = finalAnswer === undefined ? undefined : parseNumber(finalAnswer)
    if (given === undefined) return false
    return Math.abs(given - right) <= Math.max(absoluteTolerance, relativeTolerance * Math.abs(right))
  })
}

function rightNumber(task: Task): number {
  const { answer } = task
  const right = typeof answer === 'string' ? parseNumber(answer) : answer
  if (typeof right === 'number' && Number.isFinite(right)) return right
  throw wrongTaskAnswer(task, 'numericMatch', 'a finite number')
}

function parseNumber(text: string): number | undefined {
  const trimmed = text.trim()
  if (!/\d/.test(trimmed) || !decimal.test(trimmed)) return undefined
  const value = Number(trimmed.replaceAll(',', ''))
  return Number.isFinite(value) ? value : undefined
}
