import { z } from 'zod'
import { safestPattern, type TextPattern } from '../core/linear-pattern.js'
import { InvalidOptionError } from '../core/option-error.js'
import { kind } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { Task } from '../rollout/types.js'
import { identified } from './reward-identity.js'
import { wrongTaskAnswer } from './task-answer.js'
import type { AnswerReward } from './types.js'

export const regexMatchShape = {
  /** One pattern for all tasks. Default: each task's `answer` is the source of its pattern. */
  pattern: z
    .union([z.string(), kind<RegExp>('a regular expression', (value) => value instanceof RegExp)])
    .optional(),
  /** Flags of patterns that are given as text. Default 'i'. */
  flags: z.string().default('i'),
  /** Whether the whole answer has to match, apart from white space around it. Default true. */
  whole: z.boolean().default(true),
}
const regexMatchOptions = z.strictObject(regexMatchShape)
export interface RegexMatchOptions extends OptionsOf<typeof regexMatchShape> {}

/**
 * Right if the final answer matches a regular expression. It runs in time linear in the answer, but for patterns with look-around, references to
 * groups, repetition beyond 1,000 or the flags m and v, which JavaScript's own engine runs. A task whose pattern does not compile is an error, not a wrong
 * answer.
 */
export function regexMatch(options: RegexMatchOptions = {}): AnswerReward {
  const { pattern, flags, whole } = readOptions(regexMatchOptions, options, 'regexMatch')
  const fixed = pattern === undefined ? undefined : compile(pattern, flags, whole, 'regexMatch.pattern')
  const expressionOf = (task: Task) =>
    fixed ?? compile(patternOf(task), flags, whole, `tasks["${task.id}"].answer`)
  const grade: AnswerReward = ({ finalAnswer }, task) => {
    const expression = expressionOf(task)
    return finalAnswer !== undefined && expression.test(finalAnswer.trim())
  }
  return identified('regex-match', { pattern, flags, whole }, grade, (task) => {
    expressionOf(task)
  })
}

function patternOf(task: Task): string {
  const { answer } = task
  if (typeof answer === 'string' && answer !== '') return answer
  throw wrongTaskAnswer(task, 'regexMatch', 'the source of a regular expression')
}

function compile(pattern: RegExp | string, flags: string, whole: boolean, option: string): TextPattern {
  const [source, given] = typeof pattern === 'string' ? [pattern, flags] : [pattern.source, pattern.flags]
  try {
    // With the flags 'g' and 'y' one answer's match would depend on the one before.
    const own = new RegExp(whole ? `^(?:${source})$` : source, given.replace(/[gy]/g, ''))
    return safestPattern(own)
  } catch (error) {
    throw new InvalidOptionError(option, 'a regular expression that compiles', source, { cause: error })
  }
}
