// What the built-in task families ask, and the calls that both of them make.
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
