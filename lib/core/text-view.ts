// A text as it reads once its escapes are undone, or its line breaks left out, with the way back to where each part of it came from.

export interface TextView {
  text: string
  /** The place in the original of what is from `start` to `end` in this text. */
  toOriginal(start: number, end: number): [start: number, end: number]
}

export function plainView(text: string): TextView {
  return { text, toOriginal: (start, end) => [start, end] }
}

// One escape at a time, so that each has a place: of JSON and of source code, of addresses, of HTML.
const escapes =
  /\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|\\(["'\\/bfnrt])|%([0-7][0-9a-f])|((?:%[89a-f][0-9a-f])+)|&(amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-f]{1,6});/gi

const controls: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Undoes one layer of escapes; undefined where there is none. */
export function withoutEscapes(view: TextView): TextView | undefined {
  if (!/[\\%&]/.test(view.text)) return undefined
  const changed = replaced(view, escapes, ([, unit, byte, character, percent, bytes, entity]) => {
    const code = unit ?? byte ?? percent
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
    if (character !== undefined) return controls[character] ?? character
    if (bytes !== undefined) return Buffer.from(bytes.replaceAll('%', ''), 'hex').toString('utf8')
    return entityText((entity as string).toLowerCase())
  })
  return changed.text === view.text ? undefined : changed
}

function entityText(entity: string): string {
  if (!entity.startsWith('#')) return entities[entity] as string
  const code = entity.startsWith('#x') ? Number.parseInt(entity.slice(2), 16) : Number(entity.slice(1))
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\u{fffd}'
}

/** Without line breaks and what indents the lines, as base64 is wrapped. */
export function withoutLineBreaks(view: TextView): TextView {
  return /[\r\n]/.test(view.text) ? replaced(view, /[\r\n]+[\t >]*/g, () => '') : view
}

/** The text in parts: copied ones, and ones that stand for something else. */
function replaced(view: TextView, pattern: RegExp, textOf: (match: RegExpExecArray) => string): TextView {
  const { text, toOriginal } = view
  const pieces: string[] = []
  // Where the parts begin in the new text and in the old one; the odd ones were replaced.
  const starts: number[] = []
  const sources: number[] = []
  let length = 0
  let end = 0
  const add = (piece: string, source: number) => {
    starts.push(length)
    sources.push(source)
    pieces.push(piece)
    length += piece.length
  }
  for (const match of text.matchAll(pattern)) {
    add(text.slice(end, match.index), end)
    add(textOf(match), match.index)
    end = match.index + match[0].length
  }
  add(text.slice(end), end)
  const placeOf = (at: number): [from: number, to: number] => {
    const part = lastAtMost(starts, at)
    const source = sources[part] as number
    if (part % 2 === 1) return [source, sources[part + 1] as number]
    const from = source + at - (starts[part] as number)
    return [from, from + 1]
  }
  return {
    text: pieces.join(''),
    toOriginal: (first, last) => toOriginal(placeOf(first)[0], placeOf(last - 1)[1]),
  }
}

/** Index of the last of ascending numbers that is at most `limit`. */
function lastAtMost(numbers: readonly number[], limit: number): number {
  let low = 0
  let high = numbers.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((numbers[middle] as number) <= limit) low = middle
    else high = middle
  }
  return low
}
