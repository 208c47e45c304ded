// Reinforcement learning, then the held-out questions again.
import { join } from 'node:path'
import type { EvaluationSummary } from '../evaluation/evaluate.js'
import type { Policy } from '../policy/policy.js'
import type { RunOptions } from '../trainer/run-loop.js'
import { Trainer, type TrainerStep } from '../trainer/trainer.js'
import type { TrainerOptions } from '../trainer/trainer-options.js'
import { askHeldOut, type HeldOut, type Keep, keepNothing } from './held-out.js'
import type { Start } from './measure-start.js'
import { takeSteps } from './take-steps.js'

interface TrainAndMeasureOptions {
  trainer: TrainerOptions
  run: RunOptions
  onStep: (step: TrainerStep) => void
  /** Absent: the last evaluation during training is the measurement, and a training that the signal stopped counts as ended. */
  measured?: MeasuredTraining
}

/** A training whose result counts only when it is complete. */
interface MeasuredTraining {
  policy: Policy
  /** Where the trained policy is saved. */
  policyFolder: string
  /** The same evaluation as before training. */
  heldOut: HeldOut
  start: Pick<Start, 'knowledge' | 'curve'>
  keep?: Keep<'train' | 'after'>
}

export interface Trained {
  /** The last step that this process took; 0 where none was left. */
  steps: number
  after?: EvaluationSummary
}

/** With `measured` it rejects with the signal's reason where that stopped it; what was done until then is in the run folder. */
export function trainAndMeasure(
  options: TrainAndMeasureOptions & { measured: MeasuredTraining },
): Promise<Required<Trained>>
export function trainAndMeasure(options: TrainAndMeasureOptions): Promise<Trained>
export async function trainAndMeasure(options: TrainAndMeasureOptions): Promise<Trained> {
  const { trainer, run, measured } = options
  if (!measured) return train(options)
  const { policy, policyFolder, heldOut, start, keep = keepNothing } = measured
  let trainedHere = false
  const { steps } = await keep('train', async () => {
    const last = (await train(options)).steps
    if (last < trainer.steps) run.signal?.throwIfAborted()
    await policy.save(policyFolder)
    trainedHere = true
    return { steps: trainer.steps }
  })
  if (!trainedHere) await policy.loadWeights(join(policyFolder, 'model.safetensors'))
  const { all } = await keep('after', () => askHeldOut(heldOut, start.knowledge, start.curve))
  return { steps, after: all }
}

async function train({ trainer, run, onStep }: TrainAndMeasureOptions): Promise<Trained> {
  let after: EvaluationSummary | undefined
  const steps = await takeSteps(new Trainer(trainer).run(run), (step) => {
    after = step.metrics.evaluation ?? after
    onStep(step)
  })
  return { steps, ...(after && { after }) }
}
