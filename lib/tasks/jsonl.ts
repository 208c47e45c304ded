// Tasks from a JSONL file, all in memory. openTasks reads larger ones, and other kinds.
import { HdpoError } from '../core/errors.js'
import type { Task } from '../rollout/types.js'
import { failAt, parseJsonLine } from './json-line.js'
import { readLines } from './rows.js'
import { type RowOptions, toTask } from './task-row.js'
import { UniqueIds } from './unique-ids.js'

export interface JsonlOptions extends RowOptions {
  /** Aborting ends the reading: the promise rejects with the signal's reason. */
  signal?: AbortSignal
}

/**
 * A line { "question" | "prompt" | "messages", "answer", "id"?, "metadata"? } a task, or what `columns` maps to it. Without an
 * id a task is named after its line: 'line-1'. The file is read in pieces, between which the event loop goes on. Rejects with
 * ERR_TASKS, naming file and line, where a line is no task, an id comes twice, or there are no tasks at all.
 */
export async function jsonl(path: string, { signal, ...options }: JsonlOptions = {}): Promise<Task[]> {
  const tasks: Task[] = []
  const ids = new UniqueIds()
  for await (const { text, line } of readLines(path, signal)) {
    if (text.trim() === '') continue
    const where = `${path}:${line}`
    const task = toTask(parseJsonLine(text, where), `line-${line}`, options, failAt(where))
    ids.add(task.id, `line ${line}`, where)
    tasks.push(task)
  }
  if (tasks.length === 0) throw new HdpoError('ERR_TASKS', `${path}: has no tasks`)
  return tasks
}
