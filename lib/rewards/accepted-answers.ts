// What rules that compare text read of a task's answer, and how they make two texts alike.
import { callbackOr } from '../core/option-kinds.js'
import type { Task } from '../rollout/types.js'
import { wrongTaskAnswer } from './task-answer.js'

/** Of every rule that compares text. */
export const comparedShape = {
  /**
   * Applied to both sides before they are compared. Default: Unicode NFC, lower case, white space trimmed and
   * each run of it one space.
   */
  normalize: callbackOr<(text: string) => string>(normalizeText),
}

/** `rule` names who asks in the error. */
export function acceptedAnswers(task: Task, rule: string): string[] {
  const { answer } = task
  const answers: unknown[] = Array.isArray(answer) ? answer : [answer]
  if (answers.length > 0 && answers.every(isPlain)) return answers.map(String)
  throw wrongTaskAnswer(task, rule, 'text, a number, true, false or a list of them')
}

function isPlain(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

function normalizeText(text: string): string {
  return text.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase()
}
