// What a policy writes, piece by piece -> content and calls. A call is given out once its closing tag is there, or at the end in
// the formats in which calls end a turn (Mistral's) or are all of it (Llama 3's); one that cannot be read stays in the content as
// it was written, and so does a thought with all that is in it. The whole text at once gives the same as its pieces.
import type { ToolCall, ToolFormat } from '../types.js'
import { callMarks } from './call-marks.js'
import { callTag, closingTag } from './tagged-calls.js'
import { thought } from './thoughts.js'
import { parseSaidCalls, type TurnReading } from './tool-call-parser.js'

export type ReplyPart = { kind: 'content'; text: string } | { kind: 'call'; call: ToolCall }

export class ReplyParser {
  /** Text not given out yet: white space before a possible call, half a tag, an open call. */
  #held = ''
  #afterCall = false
  /** A thought can only begin a reply, or a reply inside it. */
  #place: 'beginning' | 'thinking' | 'said'
  /** Of Llama 3's format: what follows the thought is no call. */
  #plain = false
  readonly #format: ToolFormat

  /** With `readsCalls` false everything is content. */
  constructor(
    private readonly readsCalls: boolean,
    { format = 'hermes', inThought = false }: TurnReading = {},
  ) {
    this.#format = format
    this.#place = inThought ? 'thinking' : 'beginning'
  }

  feed(text: string): ReplyPart[] {
    if (!this.readsCalls) return content(text)
    this.#held += text
    const parts: ReplyPart[] = this.#passThought()
    if (this.#place !== 'said') return parts
    if (this.#format === 'llama3-json') return [...parts, ...this.#passPlain()]
    if (this.#format !== 'hermes') return [...parts, ...this.#passBeforeCalls()]
    for (;;) {
      const part = this.#next()
      if (part === undefined) return parts
      parts.push(...part)
    }
  }

  /** The text has ended. */
  end(): ReplyPart[] {
    if (this.readsCalls && this.#format !== 'hermes' && this.#place !== 'thinking') {
      const calls = parseSaidCalls(this.#held, this.#format)
      const read = calls.filter((call) => call.kind === 'call')
      if (read.length > 0 && read.length === calls.length) {
        this.#held = ''
        return read.map(({ kind, ...call }) => ({ kind, call }))
      }
    }
    const rest = this.#take(this.#held.length)
    return content(rest)
  }

  /** The thought that a reply begins with, as far as it has come. */
  #passThought(): ReplyPart[] {
    if (this.#place === 'beginning') {
      const begun = this.#held.trimStart()
      if (thought.open.startsWith(begun)) return []
      this.#place = begun.startsWith(thought.open) ? 'thinking' : 'said'
    }
    if (this.#place !== 'thinking') return []
    const end = this.#held.indexOf(thought.close)
    if (end === -1) {
      return content(this.#take(this.#held.length - partialSuffix(this.#held, [thought.close])))
    }
    this.#place = 'said'
    return content(this.#take(end + thought.close.length))
  }

  /** Llama 3's calls are whole turns: what begins like one is held until the end, everything else is content at once. */
  #passPlain(): ReplyPart[] {
    const begun = this.#held.trimStart()
    const marker = callMarks[this.#format].opening
    this.#plain ||=
      begun !== '' && !begun.startsWith('{') && !marker.startsWith(begun) && !begun.startsWith(marker)
    return this.#plain ? content(this.#take(this.#held.length)) : []
  }

  /** Mistral's calls end a turn: what stands before them is content at once, they are held until the end. */
  #passBeforeCalls(): ReplyPart[] {
    const { opening } = callMarks[this.#format]
    const open = this.#held.indexOf(opening)
    if (open !== -1) return content(this.#take(this.#held.slice(0, open).trimEnd().length))
    return content(this.#take(this.#held.length - undecided(this.#held, opening)))
  }

  /** Undefined where more text is needed. */
  #next(): ReplyPart[] | undefined {
    const open = this.#held.indexOf(callTag)
    if (open === -1) {
      const safe = this.#held.length - undecided(this.#held, callTag)
      return safe === 0 ? undefined : content(this.#take(safe))
    }
    const inside = open + callTag.length
    const close = this.#held.indexOf(closingTag, inside)
    const reopened = this.#held.indexOf(callTag, inside)
    if (reopened !== -1 && (close === -1 || reopened < close)) return content(this.#take(reopened))
    if (close === -1) {
      const before = this.#held.slice(0, open).trimEnd().length
      return before === 0 ? undefined : content(this.#take(before))
    }
    return this.#call(open, close + closingTag.length)
  }

  #call(open: number, end: number): ReplyPart[] {
    const [parsed] = parseSaidCalls(this.#held.slice(open, end), 'hermes')
    if (parsed?.kind !== 'call') return content(this.#take(end))
    const before = this.#take(open).trimEnd()
    this.#take(end - open)
    this.#afterCall = true
    const { kind, ...call } = parsed
    return [...content(before), { kind, call }]
  }

  /** White space around a call is layout, not content. */
  #take(length: number): string {
    const taken = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    if (!this.#afterCall) return taken
    const text = taken.trimStart()
    if (text !== '') this.#afterCall = false
    return text
  }
}

/** The reply as a whole. */
export function parseReply(
  text: string,
  readsCalls: boolean,
  reading: TurnReading = {},
): { content: string; toolCalls: ToolCall[] } {
  const parser = new ReplyParser(readsCalls, reading)
  const parts = [...parser.feed(text), ...parser.end()]
  return {
    content: parts.map((part) => (part.kind === 'content' ? part.text : '')).join(''),
    toolCalls: parts.flatMap((part) => (part.kind === 'call' ? [part.call] : [])),
  }
}

/** Characters at the end that may yet turn out to stand before a call, or begin its `tag`. */
function undecided(text: string, tag: string): number {
  const tagStart = partialSuffix(text, [tag])
  const solid = text.slice(0, text.length - tagStart)
  return text.length - solid.trimEnd().length
}

/** Length of the longest end of `text` that is a beginning, but not the whole, of one of `words`. */
export function partialSuffix(text: string, words: readonly string[]): number {
  const longest = Math.max(0, ...words.map((word) => word.length - 1))
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(-length)
    if (words.some((word) => word.length > length && word.startsWith(end))) return length
  }
  return 0
}

function content(text: string): ReplyPart[] {
  return text === '' ? [] : [{ kind: 'content', text }]
}
