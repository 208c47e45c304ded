import { z } from 'zod'
import { callbackOr } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { Task } from '../rollout/types.js'
import { identified } from './reward-identity.js'
import { wrongTaskAnswer } from './task-answer.js'
import type { AnswerReward } from './types.js'

export const exactMatchShape = {
  /**
   * Applied to both sides before they are compared. Default: Unicode NFC, lower case, white space trimmed and
   * each run of it one space.
   */
  normalize: callbackOr<(text: string) => string>(normalizeText),
}
const exactMatchOptions = z.strictObject(exactMatchShape)
export interface ExactMatchOptions extends OptionsOf<typeof exactMatchShape> {}

/**
 * Right if the final answer is the task's `answer`: text, a number, a boolean, or any element of a list of these.
 */
export function exactMatch(options: ExactMatchOptions = {}): AnswerReward {
  const { normalize } = readOptions(exactMatchOptions, options, 'exactMatch')
  const grade: AnswerReward = ({ finalAnswer }, task) => {
    const accepted = acceptedAnswers(task).map(normalize)
    return finalAnswer !== undefined && accepted.includes(normalize(finalAnswer))
  }
  return identified('exact-match', { normalize }, grade, (task) => {
    acceptedAnswers(task).map(normalize)
  })
}

function acceptedAnswers(task: Task): string[] {
  const { answer } = task
  const answers: unknown[] = Array.isArray(answer) ? answer : [answer]
  if (answers.length > 0 && answers.every(isPlain)) return answers.map(String)
  throw wrongTaskAnswer(task, 'exactMatch', 'text, a number, true, false or a list of them')
}

function isPlain(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

function normalizeText(text: string): string {
  return text.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase()
}
