// HTTP requests to unreliable services: a time-out per attempt, exponential back-off with jitter, Retry-After.
import { setTimeout as sleep } from 'node:timers/promises'
import { HdpoError } from '../core/errors.js'
import { readOptions } from '../core/options.js'
import { redact } from '../core/redact.js'
import { withStopSignal } from '../core/stop-signal.js'
import { patientFetch } from './patient-fetch.js'
import { refusesAll } from './refusal.js'
import { type RetryOptions, retryOptions } from './retry-options.js'

interface RequestOptions extends RetryOptions {
  signal?: AbortSignal | undefined
  /** Called with the reason for each failed attempt that will be repeated. */
  onRetry?: (reason: string) => void
}

/** Status codes that another attempt may change: time-outs, conflicts, rate limits and server errors. */
const worthRetrying = (status: number) =>
  status === 408 || status === 409 || status === 425 || status === 429 || status >= 500

/** A failed attempt. `final`: another attempt would fail in the same way. `retryAfter`: milliseconds that the server asked to wait. */
export class AttemptError extends HdpoError {
  /** Whether every other request to this endpoint would fail as well: its key, model, address or credit is refused. */
  readonly refusesAll: boolean

  constructor(
    message: string,
    readonly final: boolean,
    readonly retryAfter?: number,
    { refusesAll = false, ...options }: ErrorOptions & { refusesAll?: boolean } = {},
  ) {
    super('ERR_HTTP', redact(message), options)
    this.name = 'AttemptError'
    this.refusesAll = refusesAll
  }
}

/** The error that ends the work for which `endpoint` ("the judge") is asked, where it refuses every request. */
export function endpointRefusal(endpoint: string, error: AttemptError): HdpoError {
  return new HdpoError('ERR_ENDPOINT', `${endpoint} refuses every request: ${error.message}`, {
    cause: error,
  })
}

/**
 * Resolves to what `read` makes of the first good response. `read` may throw an AttemptError for a body that it cannot use.
 * Rejects with the last attempt's AttemptError, whose message says how many were made, or with the signal's reason where that is
 * aborted.
 */
export async function fetchWithRetries<Result>(
  url: string | URL,
  init: RequestInit,
  read: (response: Response) => Promise<Result>,
  options: RequestOptions = {},
): Promise<Result> {
  const { signal, onRetry, ...retry } = options
  const { retries, timeout, minimumDelay, maximumDelay } = readOptions(retryOptions, retry, 'retry')
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted()
    try {
      return await attemptOnce(url, init, read, timeout, signal)
    } catch (error) {
      if (!(error instanceof AttemptError)) throw error
      if (error.final || attempt >= retries) throw exhausted(error, attempt + 1)
      onRetry?.(error.message)
      // Half of the wait is random, so that clients that failed together do not retry together.
      const backOff = minimumDelay * 2 ** attempt * (0.5 + 0.5 * Math.random())
      await sleep(
        Math.min(Math.max(backOff, error.retryAfter ?? 0), maximumDelay),
        undefined,
        signal && { signal },
      )
    }
  }
}

async function attemptOnce<Result>(
  url: string | URL,
  init: RequestInit,
  read: (response: Response) => Promise<Result>,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const timer = AbortSignal.timeout(timeout)
  try {
    return await withStopSignal([signal, timer], async (stop) => {
      const response = await patientFetch(url, { ...init, signal: stop })
      if (!response.ok) throw await statusError(response)
      return read(response)
    })
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof AttemptError) throw error
    if (timer.aborted)
      throw new AttemptError(`no answer within ${timeout} ms`, false, undefined, { cause: error })
    if (!isNetworkError(error)) throw error
    throw new AttemptError(`${(error as Error).message}${causeOf(error)}`, false, undefined, { cause: error })
  }
}

async function statusError(response: Response): Promise<AttemptError> {
  return refusedAttempt(response.status, await response.text(), response.headers.get('retry-after'))
}

/** The error of a response with an error status. */
export function refusedAttempt(status: number, body: string, retryAfterHeader: string | null): AttemptError {
  const text = body.trim().slice(0, 300)
  const all = refusesAll(status, body)
  return new AttemptError(
    `HTTP ${status}${text === '' ? '' : `: ${text}`}`,
    all || !worthRetrying(status),
    retryAfter(retryAfterHeader),
    { refusesAll: all },
  )
}

/** Parses Retry-After, which holds seconds or a date (RFC 9110), into milliseconds; undefined where it is neither. */
export function retryAfter(header: string | null, now = Date.now()): number | undefined {
  if (header === null || header.trim() === '') return undefined
  const seconds = Number(header)
  if (Number.isFinite(seconds)) return Math.max(seconds * 1000, 0)
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(date - now, 0)
}

function exhausted(error: AttemptError, attempts: number): AttemptError {
  if (attempts === 1) return error
  return new AttemptError(`${error.message} (after ${attempts} attempts)`, error.final, error.retryAfter, {
    cause: error,
    refusesAll: error.refusesAll,
  })
}

/** fetch throws a TypeError for every failure below HTTP, including a body that was cut off; the real error is its cause. */
function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError && (error.message === 'fetch failed' || error.message === 'terminated')
}

function causeOf(error: unknown): string {
  const cause = (error as Error).cause
  return cause instanceof Error ? `: ${cause.message || (cause as NodeJS.ErrnoException).code}` : ''
}
