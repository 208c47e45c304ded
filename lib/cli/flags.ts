// Values of command-line flags.
import { InvalidArgumentError } from 'commander'

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

export function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0) || !Number.isFinite(value)) {
    throw new InvalidArgumentError('It must be a number greater than 0.')
  }
  return value
}
