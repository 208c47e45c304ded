// Loggers send a run's metrics elsewhere. The run folder has all metrics; a logger copies them to a dashboard that a team already
// uses.

export interface LoggedRun {
  /** The last part of the run folder's path. */
  name: string
  /** The run folder. */
  folder: string
  /** The run's config with secrets redacted. */
  config: unknown
  /** The step that the run resumed from; 0 for a fresh run. */
  resumedFrom: number
}

export type RunOutcome = 'finished' | 'stopped' | 'failed'

/**
 * Calls of a logger are awaited in order, but training never waits for them. Where one rejects, the run goes on and the user is
 * warned; a logger whose `start` rejected is not called again.
 */
export interface RunLogger {
  readonly name: string
  start?(run: LoggedRun): Promise<void> | void
  /** Numbers by path, e.g. 'seconds/rollout'. */
  log(step: number, metrics: Readonly<Record<string, number>>): Promise<void> | void
  end?(outcome: RunOutcome): Promise<void> | void
}
