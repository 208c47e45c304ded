// Maps the columns of a row, which data sets name as they like, to a task's question or messages, answer, id and metadata.
import { z } from 'zod'
import { text, textOf } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'

const column = text

export const columnsShape = {
  /** The column of the question. Default: 'question' or 'prompt'. A path into nested values has dots: 'input.text'. */
  question: column.optional(),
  /** The column of messages, instead of a question. Default: 'messages'. */
  messages: column.optional(),
  /** The column of the answer. With a pattern: the first group of its match, or the whole match. Default: 'answer'. */
  answer: z
    .union([
      column,
      z.strictObject({
        /** The column that has the answer in it. */
        column,
        /** A regular expression: the answer is the first group of its match, or the whole match. */
        pattern: textOf('the source of a regular expression', compiles),
      }),
    ])
    .optional(),
  /** The column of the id. Default: 'id'. */
  id: column.optional(),
  /** Columns kept as metadata, by name. Default: what the column 'metadata' holds. */
  metadata: z.array(column).optional(),
}
export const columnsOptions = z.strictObject(columnsShape)
export interface Columns extends OptionsOf<typeof columnsShape> {}

function compiles(pattern: string): boolean {
  try {
    new RegExp(pattern)
    return true
  } catch {
    return false
  }
}

/** A row under the names of a task: question | prompt | messages, answer, id, metadata. What is not mapped is left out. */
export function mapColumns(
  row: Record<string, unknown>,
  columns: Columns,
  fail: (message: string) => never,
): Record<string, unknown> {
  const read = (column: string) => valueAt(row, column)
  const required = (column: string) => {
    const value = read(column)
    if (value === undefined || value === null) {
      return fail(`there is no column "${column}"; columns: ${Object.keys(row).join(', ')}`)
    }
    return value
  }
  const { question, messages, answer, id, metadata } = columns
  const asked = question ?? messages
  return withoutUndefined({
    ...(asked === undefined && { question: row.question, prompt: row.prompt, messages: row.messages }),
    ...(question !== undefined && { question: required(question) }),
    ...(messages !== undefined && { messages: required(messages) }),
    answer: readAnswer(answer, row, required, fail),
    id: id === undefined ? row.id : required(id),
    metadata:
      metadata === undefined
        ? row.metadata
        : Object.fromEntries(metadata.map((column) => [column, read(column) ?? null])),
  })
}

function readAnswer(
  answer: Columns['answer'],
  row: Record<string, unknown>,
  required: (column: string) => unknown,
  fail: (message: string) => never,
): unknown {
  if (answer === undefined) return row.answer
  if (typeof answer === 'string') return required(answer)
  const text = String(required(answer.column))
  const match = new RegExp(answer.pattern).exec(text)
  if (!match)
    return fail(
      `column "${answer.column}" does not match ${answer.pattern}: ${JSON.stringify(text.slice(0, 80))}`,
    )
  return (match[1] ?? match[0]).trim()
}

/** The column of exactly this name, else the value that a path with dots leads to. */
function valueAt(row: Record<string, unknown>, path: string): unknown {
  if (path in row) return row[path]
  let value: unknown = row
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

function withoutUndefined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
