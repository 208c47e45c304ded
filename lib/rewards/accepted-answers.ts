// What rules that compare text read of a task's answer, and how they make two texts alike.
import type { Task } from '../rollout/types.js'
import { wrongTaskAnswer } from './task-answer.js'

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

export function normalizeText(text: string): string {
  return text.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase()
}
