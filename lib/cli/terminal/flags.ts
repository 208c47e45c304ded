// Values of command-line flags.
import { InvalidArgumentError, Option } from 'commander'
import { devices } from '../../native/types.js'

/** A parser of whole numbers for commander. */
export function wholeNumber(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < minimum) {
      throw new InvalidArgumentError(`It must be a whole number of at least ${minimum}.`)
    }
    return value
  }
}

export function port(text: string): number {
  const value = wholeNumber(0)(text)
  if (value > 65535) throw new InvalidArgumentError('It must be a port, 0 to 65535.')
  return value
}

/** Parses 'question=prompt' or 'answer=gold': which column of a data set holds what. */
export function columnPair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [name, column] = text.split('=')
  if (!name || !column || !['question', 'messages', 'answer', 'id'].includes(name)) {
    throw new InvalidArgumentError(
      'It must be question=, messages=, answer= or id= and the name of a column.',
    )
  }
  return { ...before, [name]: column }
}

export function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0) || !Number.isFinite(value)) {
    throw new InvalidArgumentError('It must be a number greater than 0.')
  }
  return value
}

/** The option that says where a policy runs. */
export function deviceOption(): Option {
  return new Option('--device <name>', 'where the policy runs; auto: a GPU where one works')
    .choices(devices)
    .default('cpu')
}
