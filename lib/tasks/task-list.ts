import { HdpoError } from '../core/errors.js'
import { kind } from '../core/option-kinds.js'
import type { Task } from '../rollout/types.js'

/**
 * Tasks by position, so that a trainer reads only those it needs. An array of tasks is a task list; openTasks makes one that keeps
 * its tasks on disk. While it is open, the same position gives the same task, so that a resumed run sees what the unbroken one saw.
 */
export interface TaskList {
  readonly length: number
  /** From 0 to length - 1. */
  at(index: number): Task | undefined | Promise<Task | undefined>
  /** Tells two data sets apart; for an array it is computed from the tasks. */
  readonly fingerprint?: string
  /** Releases what the list holds. */
  close?(): Promise<void>
}

/** The type of options that take tasks: an array, or what openTasks returns. */
export const taskList = kind<TaskList>(
  'a list of tasks',
  (value) => typeof (value as TaskList | null | undefined)?.length === 'number' && typeof value === 'object',
)

export async function closeTasks(...lists: (TaskList | undefined)[]): Promise<void> {
  // The same list may be given twice, and is closed once.
  for (const list of new Set(lists)) await list?.close?.()
}

/** One after the other. */
export async function* eachTask(tasks: TaskList): AsyncGenerator<Task, void, void> {
  for (let index = 0; index < tasks.length; index++) yield await taskAt(tasks, index)
}

/** The first `limit` tasks (default: all), in memory. */
export async function takeTasks(tasks: TaskList, limit = tasks.length): Promise<Task[]> {
  const taken: Task[] = []
  for (let index = 0; index < Math.min(limit, tasks.length); index++) taken.push(await taskAt(tasks, index))
  return taken
}

/** The task at a position; rejects with ERR_TASKS if there is none. */
export async function taskAt(tasks: TaskList, index: number): Promise<Task> {
  const task = await tasks.at(index)
  if (!task) throw new HdpoError('ERR_TASKS', `there is no task ${index}; there are ${tasks.length}`)
  return task
}
