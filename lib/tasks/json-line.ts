// Parses a line of JSON, with errors that say where the line is.
import { HdpoError } from '../core/errors.js'
import { jsonProblem, parseJsonKeeping } from '../core/exact-json.js'

/**
 * What becomes of a line's numbers. 'unheld': those that JavaScript does not hold are ExactNumbers. 'text': so are all that it would
 * write otherwise. 'own': hdpo wrote the file, from numbers that JavaScript held.
 */
export type LineNumbers = 'unheld' | 'text' | 'own'

/** The value of one line; throws ERR_TASKS, naming the line, if it is not JSON. */
export function parseJsonLine(text: string, where: string, numbers: LineNumbers): unknown {
  try {
    return numbers === 'own' ? JSON.parse(text) : parseJsonKeeping(text, numbers)
  } catch (error) {
    throw new HdpoError('ERR_TASKS', `${where}: ${jsonProblem(error)}`, { cause: error })
  }
}

export function failAt(where: string): (message: string) => never {
  return (message) => {
    throw new HdpoError('ERR_TASKS', `${where}: ${message}`)
  }
}
