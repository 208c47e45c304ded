import { InvalidOptionError } from '../core/option-error.js'

/** What a reward returns if it cannot tell right from wrong, for example because a judge failed. It never counts as wrong. */
export class Ungraded {
  constructor(
    /** What kept the reward from grading, for people to read. */
    readonly reason: string,
  ) {
    if (typeof reason !== 'string' || reason.trim() === '')
      throw new InvalidOptionError('ungraded.reason', 'text that says why a rollout is not graded', reason)
  }
}

export function ungraded(reason: string): Ungraded {
  return new Ungraded(reason)
}
