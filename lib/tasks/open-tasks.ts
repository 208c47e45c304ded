// A task list of any size from any data set: every row is read once, checked, mapped, and kept in a temporary file, from which
// tasks are read back by position. Memory stays small, all tasks can be shuffled, and a resumed run sees the same tasks.
import { tmpdir } from 'node:os'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { count, path, signal as signalOption } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import type { Task } from '../rollout/types.js'
import { failAt } from './json-line.js'
import { type RowSource, readRows } from './rows.js'
import { isInPart, splitOptions } from './split.js'
import { TaskFile } from './task-file.js'
import type { TaskList } from './task-list.js'
import { rowShape, toTask } from './task-row.js'
import { UniqueIds } from './unique-ids.js'

export const openTasksShape = {
  ...rowShape,
  /** Read only the tasks of one part. */
  split: splitOptions.optional(),
  /** Stop after this many tasks (of the part); then the iterable may be endless. */
  limit: count.optional(),
  /** Folder of the temporary file. Default: the system's folder for such files. */
  temporaryFolder: path.optional(),
  /** Aborting ends the reading: the promise rejects with the signal's reason. */
  signal: signalOption.optional(),
}
const openTasksOptions = z.strictObject(openTasksShape)
export interface OpenTasksOptions extends OptionsOf<typeof openTasksShape> {}

export interface OpenTasks extends TaskList {
  at(index: number): Promise<Task | undefined>
  readonly fingerprint: string
  /** Removes the temporary file. */
  close(): Promise<void>
}

/**
 * Rejects with InvalidOptionError for wrong options; with ERR_TASKS, naming file and line or row, if one is no task, an id comes
 * twice, or there are no tasks at all. Without `columns`, a key that no task has is refused; with them, and in Parquet files,
 * columns that are not mapped are left out.
 */
export async function openTasks(source: RowSource, given: OpenTasksOptions = {}): Promise<OpenTasks> {
  const options = readOptions(openTasksOptions, given, 'openTasks')
  const { split, temporaryFolder = tmpdir() } = options
  const file = await TaskFile.create(temporaryFolder)
  try {
    await fill(file, source, options)
    await file.flush()
    if (file.length === 0) {
      const part = split ? ` in the part ${split.part}` : ''
      throw new HdpoError('ERR_TASKS', `${describe(source)}: has no tasks${part}`)
    }
  } catch (error) {
    await file.close()
    throw error
  }
  return {
    length: file.length,
    fingerprint: file.fingerprint,
    at: (index) => file.read(index),
    close: () => file.close(),
  }
}

async function fill(
  file: TaskFile,
  source: RowSource,
  options: ResolvedOptions<typeof openTasksShape>,
): Promise<void> {
  const ids = new UniqueIds()
  const { split, limit = Number.POSITIVE_INFINITY, signal } = options
  for await (const { value, where, defaultId, place, mayHaveMore } of readRows(source, { signal })) {
    const rowOptions = mayHaveMore && !options.columns ? { ...options, columns: {} } : options
    const task = toTask(value, defaultId, rowOptions, failAt(where))
    ids.add(task.id, place, where)
    if (split && !isInPart(task, split)) continue
    await file.append(task, where)
    if (file.length >= limit) return
  }
}

function describe(source: RowSource): string {
  if (typeof source === 'string') return source
  return Array.isArray(source) && typeof source[0] === 'string' ? source.join(', ') : 'tasks'
}
