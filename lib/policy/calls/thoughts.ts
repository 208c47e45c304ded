// What a policy thinks before it speaks: <think>...</think> at the beginning of a turn. Nothing inside is a call or an answer.
// Some templates end their prompt with <think>, so that a turn begins inside a thought and has only its end.
import type { Tokenizer } from '../types.js'

export const thought = { open: '<think>', close: '</think>' }

// Ends a thought that the prompt opened, with nothing thought, as templates render an empty one.
const emptyThought = `\n${thought.close}\n\n`

/** What a turn is made to begin with so that `said` is said and not thought. */
export function forcedToSay(said: string, inThought: boolean): string {
  return inThought ? emptyThought + said : said
}

/** More tokens than the tag and the white space behind it can be. */
export const tokensOfOpening = 16

/** Whether a turn that follows `tokens` begins inside a thought. */
export function endsInThought(tokenizer: Tokenizer, tokens: readonly number[]): boolean {
  const end = tokenizer.decode(tokens.slice(-tokensOfOpening), { continues: true })
  return end.trimEnd().endsWith(thought.open)
}

/**
 * What follows the thought that a turn begins with; all of it where it begins with none, nothing where the thought does not end.
 * `inThought`: the prompt opened one.
 */
export function afterThinking(text: string, inThought = false): string {
  if (!inThought && !text.trimStart().startsWith(thought.open)) return text
  const close = text.indexOf(thought.close)
  return close === -1 ? '' : text.slice(close + thought.close.length)
}
