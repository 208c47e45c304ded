import { z } from 'zod'
import { type OptionsOf, readOptions } from '../core/options.js'
import { escapePattern } from '../policy/control-tokens.js'
import type { Task } from '../rollout/types.js'
import { acceptedAnswers, comparedShape } from './accepted-answers.js'
import { identified } from './reward-identity.js'
import { wrongTaskAnswer } from './task-answer.js'
import type { AnswerReward } from './types.js'

export const containsShape = { ...comparedShape }
const containsOptions = z.strictObject(containsShape)
export interface ContainsOptions extends OptionsOf<typeof containsShape> {}

/**
 * Right if the task's `answer`, or any element of a list of these, stands in the final answer as whole words and whole numbers: "30
 * days" in "Sure! It is 30 days.", but 3 neither in 30 nor in 1.3 nor in -3. For agents that answer in prose. An answer that names
 * every candidate is right as well, and training finds that out: prefer exactMatch where the answer can be had alone.
 */
export function contains(options: ContainsOptions = {}): AnswerReward {
  const { normalize } = readOptions(containsOptions, options, 'contains')
  const wanted = (task: Task) =>
    acceptedAnswers(task, 'contains').map((answer) => {
      const text = normalize(answer)
      if (/[\p{L}\p{N}]/u.test(text)) return asWhole(text)
      throw wrongTaskAnswer(task, 'contains', 'text with a letter or a digit in it')
    })
  const grade: AnswerReward = ({ finalAnswer }, task) => {
    const patterns = wanted(task)
    if (finalAnswer === undefined) return false
    const text = normalize(finalAnswer)
    return patterns.some((pattern) => pattern.test(text))
  }
  return identified('contains', { normalize }, grade, (task) => {
    wanted(task)
  })
}

/** Finds the text where no word and no number goes on before or behind it. */
function asWhole(text: string): RegExp {
  const before = /^\p{N}/u.test(text) ? '(?<!\\p{N}[.,])(?<!(?<![\\p{L}\\p{N}])[-−.])' : ''
  const behind = /\p{N}$/u.test(text) ? '(?![.,]\\p{N})' : ''
  return new RegExp(
    `(?<![\\p{L}\\p{M}\\p{N}_])${before}${escapePattern(text)}(?![\\p{L}\\p{M}\\p{N}_])${behind}`,
    'u',
  )
}
