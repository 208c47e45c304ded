// The error for a wrong option, whether it was given to a constructor, to a function, or in a config file.
import { inspect } from 'node:util'
import { HdpoError } from './errors.js'
import { redact } from './redact.js'

export interface OptionMistake {
  /** The option's path: 'loss.clipLow', 'tasks[3].id'. */
  option: string
  /** What is allowed, worded as the end of "must be ...". */
  expected: string
  /** What was passed; text that may be a secret is replaced by a description. */
  given: unknown
}

/** Its message has the form `loss.clipLow: must be 0 to 1, got 2`. */
export class InvalidOptionError extends HdpoError {
  readonly option: string
  readonly expected: string
  readonly given: unknown
  constructor(option: string, expected: string, given: unknown, options?: ErrorOptions) {
    super('ERR_OPTION', describeMistake({ option, expected, given }), options)
    this.name = 'InvalidOptionError'
    this.option = option
    this.expected = expected
    this.given = given
  }
}

export function describeMistake({ option, expected, given }: OptionMistake): string {
  return `${option}: must be ${expected}, got ${given instanceof Described ? given.text : show(given)}`
}

/** A description in place of a value that is not shown. */
export class Described {
  constructor(readonly text: string) {}
}

function show(value: unknown): string {
  const text = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY, compact: true })
  const clean = redact(text)
  return clean.length > 80 ? `${clean.slice(0, 77)}...` : clean
}
