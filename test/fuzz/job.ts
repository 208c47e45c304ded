export interface Job {
  /** Of the target. */
  name: string
  seed: number
  /** Of the run that is repeated, as fast-check prints it. */
  path?: string
  /** Runs in each thread. */
  runs?: number
  seconds?: number
  /** Say each input before it is tried. */
  loud?: boolean
}

export interface JobResult {
  runs: number
  /** One of each kind. */
  failures: Failure[]
}

export interface Failure {
  seed: number
  path?: string
  /** The smallest input that was found to fail. */
  input: string
  error: string
}
