// Tasks from a JSONL file, all in memory. openTasks reads larger ones, and other kinds.
import { readFileSync } from 'node:fs'
import { HdpoError } from '../core/errors.js'
import { readOptions } from '../core/options.js'
import type { Task } from '../rollout/types.js'
import { type RowOptions, rowOptions, toTask } from './task-row.js'
import { UniqueIds } from './unique-ids.js'

/**
 * A line { "question" | "prompt" | "messages", "answer", "id"?, "metadata"? } a task, or what `columns` maps to it. Without an
 * id a task is named after its line: 'line-1'. Errors name file and line.
 */
export function jsonl(path: string, given: RowOptions = {}): Task[] {
  const options = readOptions(rowOptions, given, 'jsonl')
  const tasks: Task[] = []
  const ids = new UniqueIds()
  readText(path)
    .split('\n')
    .forEach((text, index) => {
      if (text.trim() === '') return
      const where = `${path}:${index + 1}`
      const task = toTask(parseJsonLine(text, where), `line-${index + 1}`, options, failAt(where))
      ids.add(task.id, `line ${index + 1}`, where)
      tasks.push(task)
    })
  if (tasks.length === 0) throw new HdpoError('ERR_TASKS', `${path}: has no tasks`)
  return tasks
}

/** The value of one line; ERR_TASKS naming the line where it is not JSON. */
export function parseJsonLine(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new HdpoError('ERR_TASKS', `${where}: not JSON: ${(error as Error).message}`, { cause: error })
  }
}

export function failAt(where: string): (message: string) => never {
  return (message) => {
    throw new HdpoError('ERR_TASKS', `${where}: ${message}`)
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new HdpoError('ERR_TASKS', `cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
}
