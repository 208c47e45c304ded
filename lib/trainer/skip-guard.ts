// Counts steps whose loss or gradient was not finite. Such a step changed nothing; too many in a row end the
// run, because the policy no longer learns and the cause (data, learning rate) will not go away by itself.
import { HdpoError } from '../errors.js'

export class SkipGuard {
  #inARow: number
  #total: number

  constructor(
    private readonly limit: number,
    state: SkipState = { inARow: 0, total: 0 },
  ) {
    this.#inARow = state.inARow
    this.#total = state.total
  }

  record(skipped: boolean): void {
    this.#inARow = skipped ? this.#inARow + 1 : 0
    if (skipped) this.#total++
  }

  /** Whether the run has to end. */
  get exhausted(): boolean {
    return this.#inARow >= this.limit
  }

  get state(): SkipState {
    return { inARow: this.#inARow, total: this.#total }
  }

  /** What to throw once `exhausted`. */
  error(step: number, lastGood: string | undefined): HdpoError {
    const kept = lastGood ? `the last good checkpoint is ${lastGood}` : 'there is no checkpoint yet'
    return new HdpoError(
      'ERR_NOT_FINITE',
      `step ${step}: loss or gradient was not finite in ${this.#inARow} steps in a row (maxSkippedSteps: ${this.limit}); ${kept}`,
    )
  }
}

export interface SkipState {
  inARow: number
  total: number
}
