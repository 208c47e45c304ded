import { InvalidOptionError } from '../core/option-error.js'

/** The answer of a reward that cannot tell right from wrong: a judge that fails, say. Never the same as wrong. */
export class Ungraded {
  constructor(
    /** For people: what kept the reward from grading. */
    readonly reason: string,
  ) {
    if (typeof reason !== 'string' || reason.trim() === '')
      throw new InvalidOptionError('ungraded.reason', 'text that says why a rollout is not graded', reason)
  }
}

export function ungraded(reason: string): Ungraded {
  return new Ungraded(reason)
}
