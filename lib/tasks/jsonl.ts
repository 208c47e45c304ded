// Tasks from a JSONL file: a line { "question" | "prompt" | "messages", "answer", "id"?, "metadata"? }.
import { readFileSync } from 'node:fs'
import { HdpoError } from '../errors.js'
import type { Message } from '../policy/types.js'
import type { Task } from '../rollout/types.js'

const roles = ['system', 'user', 'assistant', 'tool']
const questionKeys = ['question', 'prompt', 'messages'] as const
const knownKeys: readonly string[] = [...questionKeys, 'answer', 'id', 'metadata']

/** Reads the whole file. Without an id a task is named after its line: 'line-1'. Errors name file and line. */
export function jsonl(path: string): Task[] {
  const tasks: Task[] = []
  const lineOfId = new Map<string, number>()
  readText(path)
    .split('\n')
    .forEach((text, index) => {
      if (text.trim() === '') return
      const line = index + 1
      const task = parseTask(text, line, path)
      const earlier = lineOfId.get(task.id)
      if (earlier !== undefined)
        throw lineError(path, line, `id ${JSON.stringify(task.id)} is that of line ${earlier} too`)
      lineOfId.set(task.id, line)
      tasks.push(task)
    })
  if (tasks.length === 0) throw new HdpoError('ERR_TASKS', `${path}: has no tasks`)
  return tasks
}

function parseTask(text: string, line: number, path: string): Task {
  const fail = (message: string): never => {
    throw lineError(path, line, message)
  }
  const row = parseObject(text, fail)
  const unknown = Object.keys(row).find((key) => !knownKeys.includes(key))
  if (unknown !== undefined) fail(`unknown key "${unknown}"; known keys: ${knownKeys.join(', ')}`)
  if (row.answer === undefined) fail('"answer" is missing')
  if (row.id !== undefined && typeof row.id !== 'string' && typeof row.id !== 'number') {
    fail(`"id" must be a string or a number, got ${JSON.stringify(row.id)}`)
  }
  if (row.metadata !== undefined && !isObject(row.metadata)) {
    fail(`"metadata" must be an object, got ${JSON.stringify(row.metadata)}`)
  }
  return {
    id: String(row.id ?? `line-${line}`),
    messages: parseQuestion(row, fail),
    answer: row.answer,
    ...(row.metadata !== undefined && { metadata: row.metadata as Record<string, unknown> }),
  }
}

function parseQuestion(row: Record<string, unknown>, fail: (message: string) => never): Message[] {
  const given = questionKeys.filter((key) => row[key] !== undefined)
  const [key] = given
  if (given.length !== 1 || key === undefined) {
    return fail(`exactly one of ${questionKeys.join(', ')} is needed, got ${given.join(' and ') || 'none'}`)
  }
  if (key === 'messages') return parseMessages(row.messages, fail)
  const question = row[key]
  if (typeof question !== 'string' || question.trim() === '') {
    return fail(`"${key}" must be text, got ${JSON.stringify(question)}`)
  }
  return [{ role: 'user', content: question }]
}

function parseMessages(value: unknown, fail: (message: string) => never): Message[] {
  if (!Array.isArray(value) || value.length === 0) return fail('"messages" must be a list of at least one message')
  value.forEach((message: unknown, index) => {
    if (!isObject(message) || typeof message.content !== 'string' || !roles.includes(String(message.role))) {
      fail(`messages[${index}] must be { role: ${roles.join(' | ')}, content: text }, got ${JSON.stringify(message)}`)
    }
  })
  return value as Message[]
}

function parseObject(text: string, fail: (message: string) => never): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return fail(`not JSON: ${(error as Error).message}`)
  }
  return isObject(value) ? value : fail(`must hold an object, got ${text.trim().slice(0, 40)}`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new HdpoError('ERR_TASKS', `cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
}

function lineError(path: string, line: number, message: string): HdpoError {
  return new HdpoError('ERR_TASKS', `${path}:${line}: ${message}`)
}
