// Where else a run's metrics go. The run folder has them all; a logger is a copy for a dashboard that a team already has.

export interface LoggedRun {
  /** The last part of the run folder's path. */
  name: string
  /** The run folder. */
  folder: string
  /** Secrets redacted. */
  config: unknown
  /** The step that the run goes on from; 0: a fresh one. */
  resumedFrom: number
}

export type RunOutcome = 'finished' | 'stopped' | 'failed'

/**
 * What it does is awaited in order, beside the training and never by it. Where it rejects, the run goes on: the user is warned, and
 * a logger whose `start` rejected is asked nothing more.
 */
export interface RunLogger {
  readonly name: string
  start?(run: LoggedRun): Promise<void> | void
  /** Numbers by path, e.g. 'seconds/rollout'. */
  log(step: number, metrics: Readonly<Record<string, number>>): Promise<void> | void
  end?(outcome: RunOutcome): Promise<void> | void
}
