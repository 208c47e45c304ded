import type { Task } from '../rollout/types.js'
import type { AnswerReward } from './types.js'

export interface RegexMatchOptions {
  /** The same for all tasks. Default: each task's `answer` is the source of its own. */
  pattern?: RegExp | string
  /** Of patterns given as text. Default 'i'. */
  flags?: string
  /** Whether the whole answer has to match, white space around it apart. Default true. */
  whole?: boolean
}

/** Right where the final answer matches a regular expression. A task whose pattern does not compile is an error, not wrong. */
export function regexMatch({ pattern, flags = 'i', whole = true }: RegexMatchOptions = {}): AnswerReward {
  const fixed = pattern === undefined ? undefined : compile(pattern, flags, whole, 'pattern')
  return ({ finalAnswer }, task) => {
    const expression = fixed ?? compile(patternOf(task), flags, whole, `task "${task.id}": answer`)
    return finalAnswer !== undefined && expression.test(finalAnswer.trim())
  }
}

function patternOf({ id, answer }: Task): string {
  if (typeof answer === 'string' && answer !== '') return answer
  throw new TypeError(
    `task "${id}": regexMatch needs answer to be the source of a regular expression, got ${JSON.stringify(answer)}`,
  )
}

function compile(pattern: RegExp | string, flags: string, whole: boolean, where: string): RegExp {
  const [source, given] = typeof pattern === 'string' ? [pattern, flags] : [pattern.source, pattern.flags]
  try {
    // 'g' and 'y' would make one answer's match depend on the one before.
    return new RegExp(whole ? `^(?:${source})$` : source, given.replace(/[gy]/g, ''))
  } catch (error) {
    throw new TypeError(`${where}: ${(error as Error).message}`, { cause: error })
  }
}
