// Numbers of logged calls in a chat template. Templates write a number as JavaScript does, 10.0 as 10; a policy that is trained on a log
// learns to write what the log has. Each number that is kept as its text goes through the template as a text that stands for it.
import { randomUUID } from 'node:crypto'
import { hasExactNumber } from '../core/exact-json.js'
import { ExactNumber } from '../core/exact-number.js'
import { isRecord } from '../core/is-record.js'

export interface WithStandIns<Value> {
  /** The value with texts in place of numbers. */
  value: Value
  /** Rendered text with the numbers in place of their texts, which templates put into quotes or not. */
  restore(rendered: string): string
}

// No text of a conversation holds it by chance or by intent, and no filter of a template changes it.
const standIn = `n${randomUUID().replaceAll('-', '')}`

export function withStandIns<Value>(value: Value): WithStandIns<Value> {
  if (!hasExactNumber(value)) return { value, restore: (rendered) => rendered }
  const numbers: string[] = []
  const replaced = replaceNumbers(value, (number) => `${standIn}x${numbers.push(number) - 1}x`) as Value
  return { value: replaced, restore: (rendered) => restore(rendered, numbers) }
}

function replaceNumbers(value: unknown, textFor: (number: string) => string): unknown {
  if (value instanceof ExactNumber) return textFor(value.text)
  if (Array.isArray(value)) return value.map((item) => replaceNumbers(item, textFor))
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, replaceNumbers(inner, textFor)]),
  )
}

/** Quotes are escaped where a template writes JSON inside JSON. */
function restore(rendered: string, numbers: readonly string[]): string {
  const written = new RegExp(`(\\\\*")?${standIn}x(\\d+)x(\\\\*")?`, 'g')
  return rendered.replace(written, (_text, before = '', index: string, after = '') => {
    const number = numbers[Number(index)] as string
    return before !== '' && before === after ? number : `${before}${number}${after}`
  })
}
