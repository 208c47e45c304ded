// Counts steps that changed nothing: their loss or gradient was not finite, or no rollout could be graded. Too many
// in a row end the run, because the policy no longer learns and the cause (data, learning rate, a judge that is down)
// will not go away by itself.
import type { ErrorCode } from '../core/error-codes.js'
import { HdpoError } from '../core/errors.js'
import type { SkipState } from '../run/run-state.js'

export interface SkipReason {
  /** The code of the error that ends the run. */
  code: ErrorCode
  /** The reason as it follows "step 3 was skipped: ". */
  text: string
}

export const notFinite: SkipReason = { code: 'ERR_NON_FINITE', text: 'its loss or gradient was not finite' }

export class SkipGuard {
  #reason = notFinite
  #inARow: number
  #total: number

  constructor(
    private readonly limit: number,
    state: SkipState = { inARow: 0, total: 0 },
  ) {
    this.#inARow = state.inARow
    this.#total = state.total
  }

  record(skipped: boolean, reason = notFinite): void {
    if (skipped) this.#reason = reason
    this.#inARow = skipped ? this.#inARow + 1 : 0
    if (skipped) this.#total++
  }

  /** Whether the run has to end. */
  get exhausted(): boolean {
    return this.#inARow >= this.limit
  }

  /** Why the last skipped step was skipped. */
  get reason(): string {
    return this.#reason.text
  }

  get state(): SkipState {
    return { inARow: this.#inARow, total: this.#total }
  }

  /** The error to throw once `exhausted`. */
  error(step: number, lastGood: string | undefined): HdpoError {
    const kept = lastGood ? `the last good checkpoint is ${lastGood}` : 'there is no checkpoint yet'
    return new HdpoError(
      this.#reason.code,
      `step ${step}: the last ${this.#inARow} steps in a row were skipped (maxSkippedSteps: ${this.limit}), this one because ` +
        `${this.#reason.text}; ${kept}`,
    )
  }
}
