// Values that become secrets because a user says so; redact.ts hides them.
import { Described, InvalidOptionError } from './option-error.js'
import { registerSecret } from './redact.js'
import { isLongEnough, shortestSecret } from './secret-names.js'

/** From now on `value` is replaced wherever redact() looks. Values under 8 characters are refused (InvalidOptionError): they would hide words. */
export function addSecret(value: string, name = 'secret'): void {
  if (typeof name !== 'string') throw new InvalidOptionError('name', 'text', name)
  if (!isLongEnough(value)) {
    const given = new Described(typeof value === 'string' ? `${value.length} characters` : typeof value)
    throw new InvalidOptionError(name, `text of at least ${shortestSecret} characters`, given)
  }
  registerSecret(value)
}

/**
 * Adds the values of environment variables. Throws InvalidOptionError for a variable that is not set, because a misspelt name
 * would leave its secret unprotected.
 */
export function addSecretVariables(names: readonly string[], environment = process.env): void {
  for (const name of names) {
    const value = environment[name]
    if (value === undefined) {
      throw new InvalidOptionError('secrets', 'names of variables that the environment has', name)
    }
    addSecret(value, `secrets: the variable ${name}`)
  }
}
