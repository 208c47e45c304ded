// A reply that is read while it is written: its pieces come in, content and calls go out.
import { partialSuffix } from '../../core/partial-suffix.js'
import { allRead, type ParsedToolCall } from './parsed-call.js'
import type { ToolCall } from './tool-call.js'

export type ReplyPart = { kind: 'content'; text: string } | { kind: 'call'; call: ToolCall }

/** However a text is cut into pieces, the parts hold the same calls and together the same content. */
export interface CallStream {
  /** The parts that have become certain with this piece. */
  feed(text: string): ReplyPart[]
  /** The text has ended: the parts that were held back. */
  end(): ReplyPart[]
}

export function content(text: string): ReplyPart[] {
  return text === '' ? [] : [{ kind: 'content', text }]
}

/** The text that the parts hold together, without their calls. */
export function contentOf(parts: readonly ReplyPart[]): string {
  return parts.map((part) => (part.kind === 'content' ? part.text : '')).join('')
}

export function callsIn(parts: readonly ReplyPart[]): ToolCall[] {
  return parts.flatMap((part) => (part.kind === 'call' ? [part.call] : []))
}

/** For turns that may not call: all text is content. */
export function contentStream(): CallStream {
  return { feed: content, end: () => [] }
}

/** Characters at the end that may yet turn out to stand before a call, or to begin its `mark`. */
export function undecided(text: string, mark: string): number {
  const begun = partialSuffix(text, [mark])
  const solid = text.slice(0, text.length - begun)
  return text.length - solid.trimEnd().length
}

/** The text that a format whose calls end a turn has held until then: calls if all of them can be read, else content. */
export function endOfTurn(held: string, parse: (said: string) => ParsedToolCall[]): ReplyPart[] {
  const calls = allRead(parse(held))
  return calls ? calls.map((call) => ({ kind: 'call', call })) : content(held)
}
