// A row of a data set as a task: { "question" | "prompt" | "messages", "answer", "id"?, "metadata"? }.
import { z } from 'zod'
import { heldExactly, jsonProblem, jsonText } from '../core/exact-json.js'
import { ExactNumber } from '../core/exact-number.js'
import { isRecord } from '../core/is-record.js'
import { describeMistake, type OptionMistake } from '../core/option-error.js'
import type { OptionsOf } from '../core/options.js'
import { readMessages } from '../policy/messages/read-messages.js'
import type { Message } from '../policy/types.js'
import type { Task } from '../rollout/types.js'
import { columnsOptions, mapColumns } from './columns.js'

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
  if (!isRecord(value)) return fail(`must hold an object, got ${jsonText(value)?.slice(0, 40)}`)
  const row = columns ? mapColumns(value, columns, fail) : value
  const unknown = Object.keys(row).find((key) => !knownKeys.includes(key))
  if (unknown !== undefined) fail(`unknown key "${unknown}"; known keys: ${knownKeys.join(', ')}`)
  if (row.answer === undefined) fail('"answer" is missing')
  if (!isAbsent(row.metadata) && !isRecord(row.metadata)) {
    fail(`"metadata" must be an object, got ${jsonText(row.metadata)}`)
  }
  const messages = parseQuestion(row, fail)
  return {
    id: readId(row.id, fail) ?? defaultId,
    messages: system === undefined ? messages : [{ role: 'system', content: system }, ...messages],
    answer: readAnswer(row.answer, 'answer', fail),
    ...(!isAbsent(row.metadata) && {
      metadata: held(row.metadata, 'metadata', fail) as Record<string, unknown>,
    }),
  }
}

/** Data sets of columns write null where a row has no value. */
function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

/** A number as an id has its digits as they were written, however many there are. */
function readId(id: unknown, fail: (message: string) => never): string | undefined {
  if (isAbsent(id)) return undefined
  const isNumber = typeof id === 'number' || typeof id === 'bigint' || id instanceof ExactNumber
  if (typeof id !== 'string' && !isNumber)
    return fail(`"id" must be a string or a number, got ${jsonText(id)}`)
  return String(id)
}

/**
 * An answer, or one of a list of accepted answers, that no number holds exactly is the text of its digits, so that it is graded
 * exactly. Inside an object it is refused: a schema or a rule would find text where a number was written.
 */
function readAnswer(answer: unknown, at: string, fail: (message: string) => never): unknown {
  if (Array.isArray(answer)) return answer.map((item, index) => readAnswer(item, `${at}[${index}]`, fail))
  return held(answer, at, fail, isRecord(answer) ? 'refuse' : 'text')
}

function held(
  value: unknown,
  at: string,
  fail: (message: string) => never,
  otherwise: 'refuse' | 'text' = 'refuse',
): unknown {
  try {
    return heldExactly(value, at, otherwise)
  } catch (error) {
    return fail(jsonProblem(error))
  }
}

function parseQuestion(row: Record<string, unknown>, fail: (message: string) => never): Message[] {
  const given = questionKeys.filter((key) => !isAbsent(row[key]))
  const [key] = given
  if (given.length !== 1 || key === undefined) {
    return fail(`exactly one of ${questionKeys.join(', ')} is needed, got ${given.join(' and ') || 'none'}`)
  }
  if (key === 'messages') {
    const refuse = (mistake: OptionMistake) => fail(describeMistake(mistake))
    return held(readMessages(row.messages, { fail: refuse }), 'messages', fail) as Message[]
  }
  const question = row[key]
  if (typeof question !== 'string' || question.trim() === '') {
    return fail(`"${key}" must be text, got ${jsonText(question)}`)
  }
  return [{ role: 'user', content: question }]
}
