import type { Task } from '../rollout/types.js'

/** Answers of the built-in task families are short: numbers compare as numbers, names without regard to case and surplus spaces. */
export function isRightAnswer(given: string | undefined, task: Pick<Task, 'answer'>): boolean {
  if (given === undefined || given.trim() === '') return false
  if (typeof task.answer === 'number') return Number(given) === task.answer
  return normalize(given) === normalize(String(task.answer))
}

function normalize(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toLowerCase()
}
