// A part of the product that is fed with random input: what it is given, and what may come of it.
import type fc from 'fast-check'
import { describeSystemError } from '../../lib/core/system-error.js'
import { HdpoError } from '../../lib/index.js'
import { ownErrors } from './mutations.js'

export interface Target {
  /** For --only. */
  name: string
  /** Worker threads that make runs side by side, each with a seed of its own. Default: the main thread alone. */
  threads?: number
  /** Runs of the short form, which CI makes, in each thread. */
  shortRuns: number
  /** Runs between two looks at the clock, at most as many as take some seconds. Default 100. */
  batchRuns?: number
  /** Called once in a thread; what it makes is freed by `close`. */
  open(): Promise<OpenTarget>
}

export interface OpenTarget {
  // biome-ignore lint/suspicious/noExplicitAny: the runner passes on whatever the property generates.
  property: fc.IAsyncProperty<any> | fc.IProperty<any>
  close(): Promise<void>
}

/**
 * A refusal is an error of the product that names what is wrong, or one of the system with its path. Throws what is none: a bare
 * TypeError, an error without a name, one that says that it cannot happen.
 */
export function expectRefusal(error: unknown): void {
  if (error instanceof HdpoError && !bugCodes.includes(error.code) && error.message.length > 0) return
  if (describeSystemError(error) !== undefined) return
  if (error instanceof Error && ownErrors.test(error.message)) return
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  throw new Error(`not a refusal by name: ${text}`, { cause: error })
}

// Options are checked before the native core sees them: where it refuses an argument, a check is missing.
const bugCodes: readonly string[] = ['ERR_INTERNAL', 'ERR_ARGUMENT', 'ERR_SHAPE']

/** What `call` gives, or undefined where it refuses. */
export async function orRefusal<Result>(call: () => Result | Promise<Result>): Promise<Result | undefined> {
  try {
    return await call()
  } catch (error) {
    expectRefusal(error)
    return undefined
  }
}
