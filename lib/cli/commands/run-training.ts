// What `hdpo sft` and `hdpo train` share: they print a line per step, save the policy, and say how the run ended.
import { join } from 'node:path'
import type { TrainingRecord } from '../../policy/model-card.js'
import type { Policy } from '../../policy/policy.js'
import { readMetrics } from '../../run/metrics-file.js'
import { markFinished } from '../../run/run-folder.js'
import type { RecordedStep, RunOptions } from '../../trainer/run-loop.js'
import { listenForInterrupt } from '../terminal/interrupt.js'
import { Eta } from '../terminal/progress.js'
import type { Terminal } from '../terminal/terminal.js'

interface TrainingRun<Step extends RecordedStep> {
  policy: Policy
  steps: number
  /** The run folder; the policy is saved in its folder `policy`. */
  output: string
  resume: boolean
  /** The run to resume has nothing left to do. */
  finished: boolean
  terminal: Terminal
  train: (run: RunOptions, onStep: (step: Step) => void) => Promise<unknown>
  describe: (step: Step, eta: string) => string
  /** What the model card says. `metrics` are those of all steps, also of those that an earlier process took. */
  record: (metrics: readonly Step['metrics'][]) => TrainingRecord
  /** What people read after the last step. Default: where the policy is. */
  describeEnd?: (metrics: readonly Step['metrics'][]) => string
}

/** Trains and saves the policy. Ctrl-C finishes the running step, saves, and ends the run. */
export async function runTraining<Step extends RecordedStep>(training: TrainingRun<Step>): Promise<void> {
  const { policy, steps, output, resume, finished, terminal } = training
  const folder = join(output, 'policy')
  const interrupt = listenForInterrupt((line) => terminal.line(line))
  try {
    const eta = new Eta(steps)
    // Of a finished run this takes no step; it refuses options that the run may not change.
    await training.train({ signal: interrupt.signal, resume }, (taken) =>
      terminal.status(training.describe(taken, eta.after(taken.step))),
    )
    terminal.done()
    const metrics = await readMetrics<Step['metrics']>(output)
    const taken = metrics.at(-1)?.step ?? 0
    if (finished) {
      terminal.line(
        `finished already: step ${taken} of ${steps} was taken, and nothing was changed. More steps need a larger "steps".`,
      )
    } else {
      await policy.save(folder, { training: training.record(metrics) })
      if (taken >= steps) await markFinished(output, taken)
      terminal.line(taken < steps ? `stopped after step ${taken}` : 'done')
    }
    terminal.line(`policy: ${folder}`)
    if (training.describeEnd && taken >= steps) terminal.line(training.describeEnd(metrics))
  } finally {
    interrupt.dispose()
  }
}
