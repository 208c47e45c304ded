// The tags that a policy writes: <tool_call>, <reason> and <answer>.

const anyTag = /<(\/?)(tool_call|reason|answer)>/g
// Of nested answers, the innermost matches.
const answers = /<answer>((?:(?!<answer>)[\s\S])*?)<\/answer>/g

/** Every tag, as text. */
export const markupTags: readonly string[] = ['tool_call', 'reason', 'answer'].flatMap((tag) => [
  `<${tag}>`,
  `</${tag}>`,
])

/** Whether the policy begins an answer in tags, well-formed or not. */
export function hasAnswerTag(text: string): boolean {
  return text.includes('<answer>')
}

/** An answer in the form in which a policy has to write it. */
export function tagAnswer(answer: string): string {
  return `<answer>${answer}</answer>`
}

/** Text inside each <answer>...</answer>, trimmed, in order. */
export function findAnswers(text: string): string[] {
  return Array.from(text.matchAll(answers), (match) => (match[1] as string).trim())
}

/**
 * Every tag is closed by its own closing tag, and none of a kind is inside another of that kind. Different
 * kinds may nest.
 */
export function tagsBalance(text: string): boolean {
  const open: string[] = []
  for (const [, slash, tag] of text.matchAll(anyTag) as Iterable<[string, string, string]>) {
    if (slash === '') {
      if (open.includes(tag)) return false
      open.push(tag)
    } else if (open.pop() !== tag) {
      return false
    }
  }
  return open.length === 0
}

/**
 * The format reward (docs/algorithm.md) over the assistant's turns of one rollout. A tag opened in one turn is closed
 * in it.
 */
export function isWellFormed(turns: readonly string[]): boolean {
  return turns.every(tagsBalance) && turns.flatMap(findAnswers).length === 1
}
