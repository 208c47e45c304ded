import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import type { Task } from '../rollout/types.js'

/**
 * Tasks by position, as many as a trainer needs at a time. An array of tasks is one; openTasks makes one that keeps its tasks
 * on disk. The same position gives the same task for as long as it is open, so a resumed run sees what the unbroken one saw.
 */
export interface TaskList {
  readonly length: number
  /** From 0 to length - 1. */
  at(index: number): Task | undefined | Promise<Task | undefined>
  /** Tells two data sets apart; of an array it is computed from the tasks. */
  readonly fingerprint?: string
  /** Lets go of what is behind it. */
  close?(): Promise<void>
}

/** As an option: an array, or what openTasks returns. */
export const taskList = z.custom<TaskList>(
  (value) => typeof (value as TaskList | null | undefined)?.length === 'number' && typeof value === 'object',
  'a list of tasks',
)

export async function closeTasks(...lists: (TaskList | undefined)[]): Promise<void> {
  // The same list may stand in two places.
  for (const list of new Set(lists)) await list?.close?.()
}

/** The first `limit` tasks (default: all), in memory. */
export async function takeTasks(tasks: TaskList, limit = tasks.length): Promise<Task[]> {
  const taken: Task[] = []
  for (let index = 0; index < Math.min(limit, tasks.length); index++) taken.push(await taskAt(tasks, index))
  return taken
}

/** Rejects with ERR_TASKS where there is none. */
export async function taskAt(tasks: TaskList, index: number): Promise<Task> {
  const task = await tasks.at(index)
  if (!task) throw new HdpoError('ERR_TASKS', `there is no task ${index}; there are ${tasks.length}`)
  return task
}
