// Where a task was read from, for errors that are found later than while it is read.
import type { Task } from './types.js'

const places = new WeakMap<Task, string>()

/** `place`: 'tasks.jsonl:7'. */
export function rememberPlace(task: Task, place: string): Task {
  places.set(task, place)
  return task
}

/** `tasks.jsonl:7: task "q7"`; only its id where nobody knows where it is from. */
export function nameTask(task: Task): string {
  const place = places.get(task)
  return `${place === undefined ? '' : `${place}: `}task "${task.id}"`
}
