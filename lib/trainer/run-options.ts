// Options of every training run, whatever its method: the run folder and what is kept in it.
import { z } from 'zod'
import { count, list, onWarning, path, seed } from '../core/option-kinds.js'
import type { RunLogger } from '../loggers/types.js'

export const runShape = {
  /** The run folder. */
  output: path,
  /** Kept in the run folder as config.yaml, secrets redacted. Default: the options that a resumed run may not change. */
  config: z.unknown().optional(),
  /** Everything random depends on the seed and the step number alone. Default 0. */
  seed: seed.default(0),
  /** Steps in a row that change nothing (loss or gradient not finite, nothing graded) and end the run. Default 5. */
  maxSkippedSteps: count.default(5),
  /** Where the metrics go besides the run folder: tensorBoard(), mlflow(), prometheus(), one of your own. */
  loggers: list<RunLogger>().default([]),
  /**
   * Keep run.sqlite, which `hdpo ui` and `hdpo export` read, up to date in a thread of its own (about 150 MB). Default true; if
   * false, the first reader makes the file.
   */
  index: z.boolean().default(true),
  /** Told of things that do not stop the run: a damaged checkpoint, a skipped step. Default: process.emitWarning. */
  onWarning,
}

/** The seed of a run whose options are not resolved yet. */
export function seedOf({ seed }: { seed?: number | undefined }): number {
  return runShape.seed.parse(seed)
}
