import { z } from 'zod'
import { type OptionsOf, readOptions } from '../core/options.js'
import { acceptedAnswers, comparedShape } from './accepted-answers.js'
import { identified } from './reward-identity.js'
import type { AnswerReward } from './types.js'

export const exactMatchShape = { ...comparedShape }
const exactMatchOptions = z.strictObject(exactMatchShape)
export interface ExactMatchOptions extends OptionsOf<typeof exactMatchShape> {}

/**
 * Right if the final answer is the task's `answer`: text, a number, a boolean, or any element of a list of these.
 */
export function exactMatch(options: ExactMatchOptions = {}): AnswerReward {
  const { normalize } = readOptions(exactMatchOptions, options, 'exactMatch')
  const grade: AnswerReward = ({ finalAnswer }, task) => {
    const accepted = acceptedAnswers(task, 'exactMatch').map(normalize)
    return finalAnswer !== undefined && accepted.includes(normalize(finalAnswer))
  }
  return identified('exact-match', { normalize }, grade, (task) => {
    acceptedAnswers(task, 'exactMatch').map(normalize)
  })
}
