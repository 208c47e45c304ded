// A mark is one character that a conversation does not contain. It is put into texts before a chat template renders them, and taken
// out of the rendered text once that is split at its control tokens.
import { HdpoError } from '../core/errors.js'
import { isRecord } from '../core/is-record.js'

/** Of private use: no text has a meaning for them. The first few are left to the chat template's own sentinels. */
const ranges = [
  [0xe010, 0xf8ff],
  [0xf0000, 0xffffd],
] as const

/** A character that is not in the text, nor its escape in JSON. */
export function chooseMark(text: string): string {
  for (const [first, last] of ranges) {
    for (let code = first; code <= last; code++) {
      const mark = String.fromCodePoint(code)
      if (!text.includes(mark) && !new RegExp(escapeOf(mark), 'i').test(text)) return mark
    }
  }
  throw new HdpoError('ERR_CHAT_TEMPLATE', 'the conversation contains every character of private use')
}

export function insertMarks(text: string, offsets: readonly number[], mark: string): string {
  if (offsets.length === 0) return text
  const cuts = [0, ...offsets, text.length]
  return cuts
    .slice(1)
    .map((end, index) => text.slice(cuts[index], end))
    .join(mark)
}

/** Templates may write the mark escaped, as `tojson(ensure_ascii=true)` does. */
export function removeMarks(text: string, mark: string): string {
  const plain = text.replaceAll(mark, '')
  return plain.includes('\\u') ? plain.replace(new RegExp(escapeOf(mark), 'gi'), '') : plain
}

/** A copy with every text replaced, the keys of objects among them; the value itself where nothing changes. */
export function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) {
    const items = value.map((item) => mapTexts(item, change))
    return items.every((item, index) => item === value[index]) ? value : items
  }
  if (!isRecord(value)) return value
  const entries = Object.entries(value)
  const mapped = entries.map(([key, item]): [string, unknown] => [change(key), mapTexts(item, change)])
  const same = mapped.every(
    ([key, item], index) => key === entries[index]?.[0] && item === entries[index]?.[1],
  )
  return same ? value : Object.fromEntries(mapped)
}

/** Matches the mark as JSON escapes it, in JSON within JSON too. */
function escapeOf(mark: string): string {
  return Array.from({ length: mark.length }, (_, unit) => `\\\\+u${mark.charCodeAt(unit).toString(16)}`).join(
    '',
  )
}
