import type { Task } from '../rollout/types.js'
import type { AnswerReward } from './types.js'

export interface ExactMatchOptions {
  /**
   * What both sides go through first. Default: Unicode NFC, lower case, white space trimmed and each run of
   * it one space.
   */
  normalize?: (text: string) => string
}

/**
 * Right where the final answer is the task's `answer`: text, a number or a boolean, or a list of which any is
 * right.
 */
export function exactMatch({ normalize = normalizeText }: ExactMatchOptions = {}): AnswerReward {
  if (typeof normalize !== 'function')
    throw new TypeError(`normalize: must be a function, got ${typeof normalize}`)
  return ({ finalAnswer }, task) => {
    const accepted = acceptedAnswers(task).map(normalize)
    return finalAnswer !== undefined && accepted.includes(normalize(finalAnswer))
  }
}

function acceptedAnswers({ id, answer }: Task): string[] {
  const answers: unknown[] = Array.isArray(answer) ? answer : [answer]
  if (answers.length > 0 && answers.every(isPlain)) return answers.map(String)
  throw new TypeError(
    `task "${id}": exactMatch needs answer to be text, a number, a boolean or a list of them, got ${JSON.stringify(answer)}`,
  )
}

function isPlain(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

function normalizeText(text: string): string {
  return text.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase()
}
