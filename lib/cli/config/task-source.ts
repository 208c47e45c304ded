// The tasks that a config names.
import { resolve } from 'node:path'
import { type OpenTasksOptions, openTasks } from '../../tasks/open-tasks.js'
import type { Split } from '../../tasks/split.js'
import type { TaskList } from '../../tasks/task-list.js'
import type { TasksConfig } from './data-schema.js'

export interface ResolvedTasks {
  tasks: TaskList
  /** Present where the config asks for a split. */
  heldOutTasks?: TaskList
}

export async function resolveTasks(config: TasksConfig, folder: string): Promise<ResolvedTasks> {
  if (Array.isArray(config)) return { tasks: config }
  if (typeof config === 'string') return { tasks: await openTasks(resolve(folder, config)) }
  const { path, heldOutShare, splitSeed, columns, system, limit } = config
  const source = [path].flat().map((each) => resolve(folder, each))
  const options: OpenTasksOptions = {
    ...(columns && { columns }),
    ...(system !== undefined && { system }),
    ...(limit !== undefined && { limit }),
  }
  if (heldOutShare === undefined) return { tasks: await openTasks(source, options) }
  const split = (part: Split['part']): Split => ({
    part,
    heldOutShare,
    ...(splitSeed !== undefined && { seed: splitSeed }),
  })
  const tasks = await openTasks(source, { ...options, split: split('train') })
  return { tasks, heldOutTasks: await openTasks(source, { ...options, split: split('held-out') }) }
}
