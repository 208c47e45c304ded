/** The answer of a reward that cannot tell right from wrong: a judge that fails, say. Never the same as wrong. */
export class Ungraded {
  constructor(
    /** For people: what kept the reward from grading. */
    readonly reason: string,
  ) {
    if (typeof reason !== 'string' || reason.trim() === '')
      throw new TypeError(`reason: must say why the rollout is not graded, got ${JSON.stringify(reason)}`)
  }
}

export function ungraded(reason: string): Ungraded {
  return new Ungraded(reason)
}
