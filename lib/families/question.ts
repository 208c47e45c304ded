// Questions of the built-in task families, and the calls that both families make.

import { Random } from '../core/random.js'
import type { ToolCall } from '../policy/types.js'

export interface Question {
  /** All wordings of a question have the same id, e.g. 'capital/France'. */
  id: string
  family: string
  phrasings: string[]
  answer: string | number
  /** The calls of a careful agent, in order. */
  calls: ToolCall[]
}

export interface CurriculumQuestion extends Question {
  /** Whether the cold start teaches the answer by heart. */
  taught: boolean
  /** 'training': asked in RL. 'held-out': kept for evaluation. 'practice': only in traces of the cold start. */
  use: 'training' | 'held-out' | 'practice'
}

/**
 * `split` keeps `heldOutShare` of each list for evaluation and gives the rest to RL; `practise` marks questions for the cold start
 * alone.
 */
export function curriculumUses(seed: number, heldOutShare: number) {
  const splitter = new Random(seed, 'held out')
  return {
    split(questions: readonly Question[], taught: boolean): CurriculumQuestion[] {
      const held = splitter.shuffle(questions).slice(0, Math.round(heldOutShare * questions.length))
      const heldOut = new Set(held)
      return questions.map((question) => ({
        ...question,
        taught,
        use: heldOut.has(question) ? 'held-out' : 'training',
      }))
    },
    practise(questions: readonly Question[]): CurriculumQuestion[] {
      return questions.map((question) => ({ ...question, taught: false, use: 'practice' }))
    },
  }
}

export type Operator = '+' | '-' | '*'

export function arithmeticQuestion(
  family: string,
  left: number,
  operator: Operator,
  right: number,
): Question {
  const expression = `${left} ${operator} ${right}`
  return {
    id: `${family}/${expression}`,
    family,
    phrasings: [`What is ${expression}?`, `Compute ${expression}.`, `${expression} = ?`],
    answer: { '+': left + right, '-': left - right, '*': left * right }[operator],
    calls: [calculatorCall(expression)],
  }
}

export function calculatorCall(expression: string): ToolCall {
  return { name: 'calculator', arguments: { expression } }
}

/** `count` questions with different ids. */
export function distinctQuestions(count: number, draw: () => Question): Question[] {
  const questions = new Map<string, Question>()
  while (questions.size < count) {
    const question = draw()
    questions.set(question.id, question)
  }
  return [...questions.values()]
}
