// What a policy thinks before it speaks: <think>...</think> at the beginning of a turn. Nothing inside is a call or an answer.
// Some templates end their prompt with <think>, so that a turn begins inside a thought and has only its end.
import { partialSuffix } from '../../core/partial-suffix.js'

const open = '<think>'
const close = '</think>'

export const thoughtTags: readonly string[] = [open, close]

/**
 * Whether the prompt opened a thought. 'unknown' is for text from elsewhere (endpoints, agents, judges, logs), whose prompt was
 * not seen here: it is taken to have opened one if the text closes a thought that it does not begin with.
 */
export type InThought = boolean | 'unknown'

/** What a turn consists of: the two together are the text. */
export interface SplitTurn {
  /** With its tags; empty if the turn does not begin with a thought. */
  thought: string
  /** All that follows the thought; empty where the thought does not end. */
  said: string
}

/** Takes a whole turn apart. */
export function splitThought(text: string, inThought: InThought = false): SplitTurn {
  const begun = inThought === true || text.trimStart().startsWith(open)
  const end = text.indexOf(close)
  if (!begun && (inThought === false || end === -1)) return { thought: '', said: text }
  if (end === -1) return { thought: text, said: '' }
  const behind = end + close.length
  return { thought: text.slice(0, behind), said: text.slice(behind) }
}

/** A turn of a thought that is kept apart, without tags, and of what follows it, in the form in which templates render both. */
export function thoughtBefore(thought: string, said: string): string {
  return `${open}\n${thought.trim()}\n${close}\n\n${said}`
}

/** Thoughts and what follows them, with nothing but the end of a thought between two parts; parts may be empty. */
export function joinThoughts(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(close)
}

/** A thought without its tags. */
export function withoutTags(thought: string): string {
  const begun = thought.trim()
  const inner = begun.startsWith(open) ? begun.slice(open.length) : begun
  return (inner.endsWith(close) ? inner.slice(0, -close.length) : inner).trim()
}

export interface ThoughtStream {
  feed(text: string): SplitTurn
  /** To be called when the text has ended: the whole turn. */
  end(): SplitTurn
}

/** Splits like splitThought, while the turn is written: both parts grow piece by piece, the thought only until something is said. */
export function streamThought(inThought = false): ThoughtStream {
  let place: 'beginning' | 'thinking' | 'said' = inThought ? 'thinking' : 'beginning'
  // Text that may be half a tag.
  let held = ''
  const take = (length = held.length): string => {
    const taken = held.slice(0, length)
    held = held.slice(length)
    return taken
  }
  return {
    feed(text) {
      held += text
      if (place === 'beginning') place = placeAfter(held.trimStart())
      if (place === 'beginning') return { thought: '', said: '' }
      if (place === 'said') return { thought: '', said: take() }
      const end = held.indexOf(close)
      if (end === -1) return { thought: take(held.length - partialSuffix(held, [close])), said: '' }
      place = 'said'
      return { thought: take(end + close.length), said: take() }
    },
    end() {
      return place === 'thinking' ? { thought: take(), said: '' } : { thought: '', said: take() }
    },
  }
}

function placeAfter(begun: string): 'beginning' | 'thinking' | 'said' {
  if (begun.startsWith(open)) return 'thinking'
  return open.startsWith(begun) ? 'beginning' : 'said'
}

/** More tokens than the tag and the white space after it can take. */
export const tokensOfOpening = 16

interface Decoder {
  decode(tokens: ArrayLike<number>, options: { continues: true }): string
}

/** Whether a turn that follows `tokens` begins inside a thought. */
export function endsInThought(tokenizer: Decoder, tokens: readonly number[]): boolean {
  const end = tokenizer.decode(tokens.slice(-tokensOfOpening), { continues: true })
  return end.trimEnd().endsWith(open)
}

// Ends a thought that the prompt opened without a word in it, in the form in which templates render an empty thought.
const emptyThought = `\n${close}\n\n`

/** A beginning of a turn that puts `said` after the thought, not into it. */
export function forcedToSay(said: string, inThought: boolean): string {
  return inThought ? emptyThought + said : said
}
