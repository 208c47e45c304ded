// Which added tokens of a vocabulary steer a conversation, and where a text spells one out. Text that is not the chat template's own
// is encoded as text, whatever it says: a mark put inside each such place keeps it from becoming the token.

import type { AddedToken } from './tokenizer-vocabulary.js'

const spaces = /^[\s\u2581]*$/
const beyondWords = /[^\p{L}\p{M}\p{N}\s\u2581]/u

/**
 * Whether a token says where a turn, a call or a thought begins or ends. Added runs of white space (Gemma's, Phi's), and added words
 * that are not marked as special, are vocabulary: text is made of them as of any other entry.
 */
export function isControlToken({ content, special }: AddedToken): boolean {
  return !spaces.test(content) && (special === true || beyondWords.test(content))
}

/** Where a mark goes into a text, as offsets in ascending order. */
export interface TextMarker {
  /** One inside each control token that the text spells out, in any case of letters, and in each half of one at its ends. */
  occurrences(text: string): number[]
  /** The same, and one behind every character that could begin a control token, and before a text that is all inside one. */
  beginnings(text: string): number[]
  /** How many control tokens encoding the text would have made. */
  count(text: string): number
}

/** `allowed` are control tokens that the text may contain as tokens, because the policy writes them. */
export function createTextMarker(control: readonly string[], allowed: readonly string[] = []): TextMarker {
  const refused = control.filter((token) => !allowed.includes(token))
  if (refused.length === 0) return { occurrences: () => [], beginnings: () => [], count: () => 0 }
  const ends = createEndFinder(refused)
  const within = createInsideFinder(refused)
  const inside = occurrencePattern(refused)
  const exact = new RegExp(inside, 'gu')
  const anyCase = new RegExp(inside, 'giu')
  const first = new RegExp(beginningPattern(refused, allowed), 'giu')
  const could = couldContain(refused)
  return {
    occurrences: (text) => ascending([...(could(text) ? behind(text, anyCase) : []), ...ends(text)]),
    beginnings: (text) =>
      ascending([...(could(text) ? behind(text, first) : []), ...ends(text), ...within(text)]),
    count: (text) => (could(text) ? behind(text, exact).length : 0),
  }
}

/** A quick look, because most texts have no character with which a control token begins. */
function couldContain(tokens: readonly string[]): (text: string) => boolean {
  const firsts = [...new Set(tokens.map(([first = '']) => first))]
  const cased = firsts.some((first) => first.toLowerCase() !== first.toUpperCase())
  return cased ? () => true : (text) => firsts.some((first) => text.includes(first))
}

/** Matches the first character of every occurrence alone, so that occurrences that overlap are all found. */
function occurrencePattern(tokens: readonly string[]): string {
  const rests = new Map<string, string[]>()
  for (const token of tokens) {
    const [first = ''] = token
    rests.set(first, [...(rests.get(first) ?? []), escapePattern(token.slice(first.length))])
  }
  return [...rests].map(([first, rest]) => `${escapePattern(first)}(?=${rest.join('|')})`).join('|')
}

function beginningPattern(tokens: readonly string[], allowed: readonly string[]): string {
  const firsts = [...new Set(tokens.map(([first = '']) => escapePattern(first)))].join('|')
  return allowed.length === 0 ? firsts : `(?!${allowed.map(escapePattern).join('|')})(?:${firsts})`
}

/**
 * Finds halves of tokens at the ends of a text, which what a template writes beside it could complete. Templates trim texts, so
 * that the ends without white space count as well.
 */
function createEndFinder(tokens: readonly string[]): (text: string) => number[] {
  const lower = tokens.map((token) => token.toLowerCase())
  const longest = Math.max(...lower.map(({ length }) => length))
  const parts = (cut: (token: string, length: number) => string) =>
    new Set(
      lower.flatMap((token) => Array.from({ length: token.length - 1 }, (_, index) => cut(token, index + 1))),
    )
  const heads = parts((token, length) => token.slice(0, length))
  const tails = parts((token, length) => token.slice(-length))
  return (text) => {
    const trimmed = { start: text.length - text.trimStart().length, end: text.trimEnd().length }
    const ends = [...new Set([text.length, trimmed.end])].flatMap((end) =>
      lengthsOf(text.slice(Math.max(0, end - longest), end).toLowerCase(), (part, length) =>
        heads.has(part.slice(-length)),
      ).map((length) => end - length + firstLength(text, end - length)),
    )
    const starts = [...new Set([0, trimmed.start])].filter((start) => {
      const begun = text.slice(start, start + longest).toLowerCase()
      return lengthsOf(begun, (part, length) => tails.has(part.slice(0, length))).length > 0
    })
    return [...starts, ...ends]
  }
}

/** The words of calls and of JSON schemas, and numbers: templates look them up or compare them, and spell no token around one. */
const structure = new Set(
  (
    'type function id name arguments description parameters object array string number integer boolean null properties required ' +
    'enum const items default title format additionalproperties anyof oneof allof not examples pattern minimum maximum $defs $ref'
  ).split(' '),
)
const digits = /^[-+.e\d]+$/

/** Finds texts that are a middle of a token, such as the name of a tool that a template writes between "<" and ">". */
function createInsideFinder(tokens: readonly string[]): (text: string) => number[] {
  const lower = tokens.map((token) => token.toLowerCase())
  const longest = Math.max(...lower.map(({ length }) => length))
  return (text) => {
    const middle = text.trim().toLowerCase()
    if (middle === '' || middle.length >= longest || structure.has(middle) || digits.test(middle)) return []
    return lower.some((token) => token.includes(middle)) ? [text.length - text.trimStart().length] : []
  }
}

function lengthsOf(part: string, fits: (part: string, length: number) => boolean): number[] {
  return Array.from({ length: part.length }, (_, index) => index + 1).filter((length) => fits(part, length))
}

function firstLength(text: string, at: number): number {
  return (text.codePointAt(at) as number) > 0xffff ? 2 : 1
}

function behind(text: string, pattern: RegExp): number[] {
  return Array.from(text.matchAll(pattern), ({ 0: { length }, index }) => index + length)
}

function ascending(offsets: readonly number[]): number[] {
  return [...new Set(offsets)].sort((a, b) => a - b)
}

export function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
