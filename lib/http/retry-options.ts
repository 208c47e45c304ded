// How often and how patiently a request is made.
import { z } from 'zod'
import { callback, delay, milliseconds, signal } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'

export const retryShape = {
  /** Attempts after the first one, for time-outs, 429, 5xx and broken connections. Default 4. */
  retries: z.int().min(0).default(4),
  /** Milliseconds for one attempt, its body included. Default 60,000. */
  timeout: milliseconds.default(60_000),
  /** Milliseconds before the first retry, doubled for each further one; Retry-After counts. Default 500. */
  minimumDelay: delay.default(500),
  /** Longest wait in milliseconds. Default 30,000. */
  maximumDelay: delay.default(30_000),
}

export const requestShape = {
  ...retryShape,
  signal: signal.optional(),
  /** Told of each attempt that failed and will be made again. */
  onRetry: callback<(reason: string) => void>().optional(),
}
export const requestOptions = z.strictObject(requestShape)
export interface RetryOptions extends OptionsOf<typeof requestShape> {}
