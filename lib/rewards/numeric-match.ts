import { Decimal } from 'decimal.js'
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

// Decimal arithmetic: integers beyond 2^53, of which a task keeps the digits, are told apart, and 1.1 is 0.1 away from 1. The
// difference of any two finite numbers has fewer digits than this.
const Exact = Decimal.clone({ precision: 1000 })

// 1234.5, -1,234.5, .5, 1e-3; nothing else on the line.
const decimal = /^[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.|\.\d+)?(?:e[+-]?\d+)?$/i

/**
 * Right if |given - right| <= max(absoluteTolerance, relativeTolerance * |right|). An answer that is no number
 * is wrong. Numbers are compared as decimals, not rounded to what JavaScript holds.
 */
export function numericMatch(options: NumericMatchOptions = {}): AnswerReward {
  const { relativeTolerance, absoluteTolerance } = readOptions(numericMatchOptions, options, 'numericMatch')
  const grade: AnswerReward = ({ finalAnswer }, task) => {
    const right = rightNumber(task)
    const given = finalAnswer === undefined ? undefined : parseNumber(finalAnswer)
    if (given === undefined) return false
    const tolerance = Decimal.max(absoluteTolerance, right.abs().times(relativeTolerance))
    return given.minus(right).abs().lte(tolerance)
  }
  return identified('numeric-match', { relativeTolerance, absoluteTolerance }, grade, (task) => {
    rightNumber(task)
  })
}

function rightNumber(task: Task): Decimal {
  const { answer } = task
  const right = typeof answer === 'string' ? parseNumber(answer) : answer
  if (right instanceof Decimal) return right
  if (typeof right === 'number' && Number.isFinite(right)) return new Exact(right)
  throw wrongTaskAnswer(task, 'numericMatch', 'a finite number')
}

function parseNumber(text: string): Decimal | undefined {
  const trimmed = text.trim()
  if (!/\d/.test(trimmed) || !decimal.test(trimmed)) return undefined
  const digits = trimmed.replaceAll(',', '')
  return Number.isFinite(Number(digits)) ? new Exact(digits) : undefined
}
