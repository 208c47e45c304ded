// What the built-in task families ask, and the calls that both of them make.

import { Random } from '../core/random.js'
import type { ToolCall } from '../policy/types.js'

export interface Question {
  /** Names the question whatever its wording, e.g. 'capital/France'. */
  id: string
  family: string
  phrasings: string[]
  answer: string | number
  /** What a careful agent calls, in order. */
  calls: ToolCall[]
}

export interface CurriculumQuestion extends Question {
  /** The cold start teaches the answer by heart. */
  taught: boolean
  /** 'training': asked in RL. 'held-out': kept for evaluation. 'practice': traces of the cold start and nothing else. */
  use: 'training' | 'held-out' | 'practice'
}

/**
 * Sorts questions into those of RL and those that it never sees, `heldOutShare` of each list it is given; and the ones that the cold
 * start alone practises.
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
