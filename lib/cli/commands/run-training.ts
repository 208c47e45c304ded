// What `hdpo sft` and `hdpo train` share: the steps, a line each, then the policy's folder and what became of the run.
import { join } from 'node:path'
import type { TrainingRecord } from '../../policy/model-card.js'
import type { Policy } from '../../policy/policy.js'
import type { RecordedStep, RunOptions } from '../../trainer/run-loop.js'
import { listenForInterrupt } from '../terminal/interrupt.js'
import { Eta } from '../terminal/progress.js'
import type { Terminal } from '../terminal/terminal.js'

export interface TrainingRun<Step extends RecordedStep> {
  policy: Policy
  steps: number
  /** The run folder; the policy is saved in its folder `policy`. */
  output: string
  resume: boolean
  terminal: Terminal
  run: (options: RunOptions) => AsyncIterable<Step>
  describe: (step: Step, eta: string) => string
  /** What the model card says, after so many steps. */
  record: (steps: number) => TrainingRecord
}

/** Ctrl-C finishes the step that is under way, saves, and ends the run. */
export async function runTraining<Step extends RecordedStep>(training: TrainingRun<Step>): Promise<void> {
  const { policy, steps, output, resume, terminal } = training
  const interrupt = listenForInterrupt((line) => terminal.line(line))
  try {
    const eta = new Eta(steps)
    let last = 0
    for await (const taken of training.run({ signal: interrupt.signal, resume })) {
      terminal.status(training.describe(taken, eta.after(taken.step)))
      last = taken.step
    }
    terminal.done()
    const folder = join(output, 'policy')
    await policy.save(folder, { training: training.record(last) })
    terminal.line(last < steps && interrupt.signal.aborted ? `stopped after step ${last}` : 'done')
    terminal.line(`policy: ${folder}`)
  } finally {
    interrupt.dispose()
  }
}
