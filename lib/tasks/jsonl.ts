// Tasks from a JSONL file, all in memory. openTasks reads larger files, and other kinds.

import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { path as anyPath, signal as signalOption } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { readLines } from '../core/text-file.js'
import { rememberPlace } from '../rollout/task-place.js'
import type { Task } from '../rollout/types.js'
import { failAt, parseJsonLine } from './json-line.js'
import { rowShape, toTask } from './task-row.js'
import { UniqueIds } from './unique-ids.js'

export const jsonlShape = {
  ...rowShape,
  /** Aborting ends the reading: the promise rejects with the signal's reason. */
  signal: signalOption.optional(),
}
const jsonlOptions = z.strictObject(jsonlShape)
export interface JsonlOptions extends OptionsOf<typeof jsonlShape> {}

/**
 * One line { "question" | "prompt" | "messages", "answer", "id"?, "metadata"? } per task, or what `columns` maps to it. Without
 * an id a task is named after its line: 'line-1'. The file is read in pieces, between which the event loop goes on. Rejects with
 * ERR_TASKS, naming file and line, if a line is no task, an id comes twice, or there are no tasks at all.
 */
export async function jsonl(path: string, given: JsonlOptions = {}): Promise<Task[]> {
  readOptions(anyPath, path, 'path')
  const { signal, ...options } = readOptions(jsonlOptions, given, 'jsonl')
  const tasks: Task[] = []
  const ids = new UniqueIds()
  for await (const { text, line } of readLines(path, 'ERR_TASKS', signal)) {
    if (text.trim() === '') continue
    const where = `${path}:${line}`
    const task = toTask(parseJsonLine(text, where, 'unheld'), `line-${line}`, options, failAt(where))
    ids.add(task.id, `line ${line}`, where)
    tasks.push(rememberPlace(task, where))
  }
  if (tasks.length === 0) throw new HdpoError('ERR_TASKS', `${path}: has no tasks`)
  return tasks
}
