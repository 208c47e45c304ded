// What `hdpo sft` and `hdpo train` share: they print a line per step, save the policy, and say how the run ended.
import { join } from 'node:path'
import type { TrainingRecord } from '../../policy/model-card.js'
import type { Policy } from '../../policy/policy.js'
import type { RecordedStep, RunOptions } from '../../trainer/run-loop.js'
import { listenForInterrupt } from '../terminal/interrupt.js'
import { Eta } from '../terminal/progress.js'
import type { Terminal } from '../terminal/terminal.js'

interface TrainingRun<Step extends RecordedStep, Trained extends { steps: number }> {
  policy: Policy
  steps: number
  /** The run folder; the policy is saved in its folder `policy`. */
  output: string
  resume: boolean
  terminal: Terminal
  /** Resolves with the number of the last step taken in `steps`. */
  train: (run: RunOptions, onStep: (step: Step) => void) => Promise<Trained>
  describe: (step: Step, eta: string) => string
  /** What the model card says. */
  record: (trained: Trained) => TrainingRecord
}

/** Trains and saves the policy. Ctrl-C finishes the running step, saves, and ends the run. */
export async function runTraining<Step extends RecordedStep, Trained extends { steps: number }>(
  training: TrainingRun<Step, Trained>,
): Promise<void> {
  const { policy, steps, output, resume, terminal } = training
  const interrupt = listenForInterrupt((line) => terminal.line(line))
  try {
    const eta = new Eta(steps)
    const trained = await training.train({ signal: interrupt.signal, resume }, (taken) =>
      terminal.status(training.describe(taken, eta.after(taken.step))),
    )
    terminal.done()
    const folder = join(output, 'policy')
    await policy.save(folder, { training: training.record(trained) })
    const stopped = trained.steps < steps && interrupt.signal.aborted
    terminal.line(stopped ? `stopped after step ${trained.steps}` : 'done')
    terminal.line(`policy: ${folder}`)
  } finally {
    interrupt.dispose()
  }
}
