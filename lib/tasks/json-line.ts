// Parses a line of JSON, with errors that say where the line is.
import { HdpoError } from '../core/errors.js'

/** The value of one line; throws ERR_TASKS, naming the line, if it is not JSON. */
export function parseJsonLine(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new HdpoError('ERR_TASKS', `${where}: not JSON: ${(error as Error).message}`, { cause: error })
  }
}

export function failAt(where: string): (message: string) => never {
  return (message) => {
    throw new HdpoError('ERR_TASKS', `${where}: ${message}`)
  }
}
