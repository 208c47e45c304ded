// A row of a data set as a task: { "question" | "prompt" | "messages", "answer", "id"?, "metadata"? }.
import { z } from 'zod'
import { isRecord } from '../core/is-record.js'
import type { OptionsOf } from '../core/options.js'
import type { Message } from '../policy/types.js'
import type { Task } from '../rollout/types.js'
import { columnsOptions, mapColumns } from './columns.js'

const roles = ['system', 'user', 'assistant', 'tool']
const questionKeys = ['question', 'prompt', 'messages'] as const
const knownKeys: readonly string[] = [...questionKeys, 'answer', 'id', 'metadata']

export const rowShape = {
  /** Which columns hold the parts of a task. Default: those with the names above; others are refused. */
  columns: columnsOptions.optional(),
  /** A system message before every question. */
  system: z.string().optional(),
}
export const rowOptions = z.strictObject(rowShape)
export interface RowOptions extends OptionsOf<typeof rowShape> {}

/** `fail` throws an error that names where the row is from. */
export function toTask(
  value: unknown,
  defaultId: string,
  { columns, system }: RowOptions,
  fail: (message: string) => never,
): Task {
  if (!isRecord(value)) return fail(`must hold an object, got ${JSON.stringify(value)?.slice(0, 40)}`)
  const row = columns ? mapColumns(value, columns, fail) : value
  const unknown = Object.keys(row).find((key) => !knownKeys.includes(key))
  if (unknown !== undefined) fail(`unknown key "${unknown}"; known keys: ${knownKeys.join(', ')}`)
  if (row.answer === undefined) fail('"answer" is missing')
  if (row.id !== undefined && typeof row.id !== 'string' && typeof row.id !== 'number') {
    fail(`"id" must be a string or a number, got ${JSON.stringify(row.id)}`)
  }
  if (row.metadata !== undefined && !isRecord(row.metadata)) {
    fail(`"metadata" must be an object, got ${JSON.stringify(row.metadata)}`)
  }
  const messages = parseQuestion(row, fail)
  return {
    id: String(row.id ?? defaultId),
    messages: system === undefined ? messages : [{ role: 'system', content: system }, ...messages],
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
  if (!Array.isArray(value) || value.length === 0)
    return fail('"messages" must be a list of at least one message')
  value.forEach((message: unknown, index) => {
    if (!isRecord(message) || typeof message.content !== 'string' || !roles.includes(String(message.role))) {
      fail(
        `messages[${index}] must be { role: ${roles.join(' | ')}, content: text }, got ${JSON.stringify(message)}`,
      )
    }
  })
  return value as Message[]
}
