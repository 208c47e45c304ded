// A line of JSON as a value, with errors that say where it stands.
import { HdpoError } from '../core/errors.js'

/** The value of one line; ERR_TASKS naming the line where it is not JSON. */
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
