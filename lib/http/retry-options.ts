// How often a request is retried, and how long it waits.
import { z } from 'zod'
import { delay, milliseconds } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'

export const retryShape = {
  /** Attempts after the first one, for time-outs, 429, 5xx and broken connections. Default 4. */
  retries: z.int().min(0).default(4),
  /** Milliseconds for one attempt, its body included. Default 60,000. */
  timeout: milliseconds.default(60_000),
  /** Milliseconds before the first retry, doubled for each further one; a longer Retry-After wins. Default 500. */
  minimumDelay: delay.default(500),
  /** Longest wait between attempts in milliseconds. Default 30,000. */
  maximumDelay: delay.default(30_000),
}

export const retryOptions = z.strictObject(retryShape)
export interface RetryOptions extends OptionsOf<typeof retryShape> {}
