// The error for a task whose `answer` is of another kind than a rule can compare with.
import { InvalidOptionError } from '../core/option-error.js'
import type { Task } from '../rollout/types.js'

/** `expected`: what the rule reads, as the end of "must be ...". */
export function wrongTaskAnswer({ id, answer }: Task, rule: string, expected: string): InvalidOptionError {
  return new InvalidOptionError(`tasks["${id}"].answer`, `${expected}, for ${rule}`, answer)
}
