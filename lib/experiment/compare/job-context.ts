// What a job of a comparison works with: the task in one setting, and whom to tell how far it is.
import type { Environment } from '../../trainer/environment.js'
import type { Grid } from './grid.js'

export interface JobContext {
  grid: Grid
  environment: Environment
  /** Of the whole comparison. */
  output: string
  signal: AbortSignal
  /** Share of the job that is done, 0 to 1. */
  progress: (share: number) => void
  warn: (message: string) => void
}

/** Thrown by a job that the signal ended, so that it leaves no result; what it did is saved. */
export class JobStopped extends Error {
  override readonly name = 'JobStopped'
}
