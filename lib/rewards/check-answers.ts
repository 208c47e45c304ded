// Asks a reward about the tasks themselves before anything is asked of a policy: an answer that it cannot use would otherwise end
// the work in the middle.
import { setImmediate } from 'node:timers/promises'
import { HdpoError } from '../core/errors.js'
import { messageOf } from '../core/message-of.js'
import { nameTask } from '../rollout/task-place.js'
import type { Task } from '../rollout/types.js'
import type { AnswerReward } from './types.js'

/** Tasks checked before the event loop gets its turn. */
const atOnce = 256
/** Unusable tasks that the error describes; the others are counted. */
const described = 5

/**
 * Rejects with ERR_TASKS, which counts all tasks that `answer` cannot grade by and names the first. Where `signal` is aborted it
 * looks no further: whoever asked stops by itself.
 */
export async function checkAnswers(
  { check }: AnswerReward,
  tasks: Iterable<Task> | AsyncIterable<Task>,
  signal?: AbortSignal,
): Promise<void> {
  if (!check) return
  const problems: string[] = []
  let checked = 0
  let unusable = 0
  for await (const task of tasks) {
    const problem = await problemOf(check, task)
    if (problem !== undefined && unusable++ < described) problems.push(problem)
    if (++checked % atOnce !== 0) continue
    await setImmediate()
    if (signal?.aborted) return
  }
  if (unusable === 0) return
  const more = unusable > problems.length ? `\n... and ${unusable - problems.length} more` : ''
  throw new HdpoError(
    'ERR_TASKS',
    `the reward cannot grade ${unusable} of ${checked} tasks:\n${problems.join('\n')}${more}`,
  )
}

async function problemOf(check: NonNullable<AnswerReward['check']>, task: Task): Promise<string | undefined> {
  try {
    await check(task)
    return undefined
  } catch (error) {
    return `${nameTask(task)}: ${messageOf(error)}`
  }
}
