// Cuts documents into passages, the units of search, short enough to be read as results.
import type { TextDocument } from './read-documents.js'

export interface Passage {
  documentId: string
  title: string
  text: string
}

interface Section {
  /** The headings above the passage, the outermost first. */
  headings: string[]
  text: string
}

/**
 * Cuts a document into passages of at most `characters`: at sections, then paragraphs, then sentences; at words only where a
 * sentence is longer still.
 */
export function toPassages(document: TextDocument, characters: number): Passage[] {
  const sections = document.markdown
    ? markdownSections(document.text)
    : [{ headings: [], text: document.text }]
  return sections.flatMap(({ headings, text }) =>
    pack(text, characters).map((part) => ({
      documentId: document.id,
      title: [document.title, ...headings].filter(Boolean).join(' > '),
      text: part,
    })),
  )
}

/** Splits Markdown at its # headings; lines inside fenced code are no headings. */
function markdownSections(text: string): Section[] {
  const sections: Section[] = [{ headings: [], text: '' }]
  let fence: string | undefined
  for (const line of text.split(/\r?\n/)) {
    const mark = /^ {0,3}(```|~~~)/.exec(line)?.[1]
    if (mark && (fence === undefined || fence === mark)) fence = fence === undefined ? mark : undefined
    const heading = fence === undefined ? /^ {0,3}(#{1,6})\s+(.+?)\s*#*\s*$/.exec(line) : null
    const current = sections.at(-1) as Section
    if (heading?.[1] && heading[2]) {
      sections.push({ headings: [...current.headings.slice(0, heading[1].length - 1), heading[2]], text: '' })
    } else {
      current.text += `${line}\n`
    }
  }
  return sections.filter(({ headings, text: body }) => headings.length > 0 || body.trim() !== '')
}

const boundaries = [/\n\s*\n/, /(?<=[.!?])\s+/, /\s+/]
const joiners = ['\n\n', ' ', ' ']

/** Packs neighbouring pieces of a level together as long as they fit; a piece that is too long is split at the next level. */
function pack(text: string, characters: number, level = 0): string[] {
  const whole = text.trim()
  if (whole.length <= characters) return whole === '' ? [] : [whole]
  const boundary = boundaries[level]
  if (!boundary) return slices(whole, characters)
  const packed: string[] = []
  for (const piece of whole.split(boundary)) {
    const last = packed.at(-1)
    const joined = last === undefined ? piece : `${last}${joiners[level]}${piece}`
    if (joined.length <= characters && last !== undefined) packed[packed.length - 1] = joined
    else packed.push(...pack(piece, characters, level + 1))
  }
  return packed
}

/** Cuts by characters, so that no surrogate pair is split. */
function slices(text: string, characters: number): string[] {
  const parts: string[] = []
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + characters, text.length)
    if (end < text.length && /[\uD800-\uDBFF]/.test(text.charAt(end - 1)) && end - 1 > start) end--
    parts.push(text.slice(start, end))
    start = end
  }
  return parts
}
