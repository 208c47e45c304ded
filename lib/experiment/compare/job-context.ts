// What a job of a comparison works with: the task in one setting, and a callback for its progress.
import type { Environment } from '../../trainer/environment.js'
import type { Grid } from './grid.js'

export interface JobContext {
  grid: Grid
  environment: Environment
  /** The output folder of the whole comparison. */
  output: string
  signal: AbortSignal
  /** Reports the share of the job that is done, 0 to 1. */
  progress: (share: number) => void
  warn: (message: string) => void
}

/** Thrown by a job that the signal ended, so that no result is written; what it did so far is saved. */
export class JobStopped extends Error {
  override readonly name = 'JobStopped'
}
