import type { RecordedStep } from '../trainer/run-loop.js'

/** Takes all steps of a run. Returns the number of the last step, 0 where there was none. */
export async function takeSteps<Step extends RecordedStep>(
  run: AsyncIterable<Step>,
  onStep: (step: Step) => void,
): Promise<number> {
  let last = 0
  for await (const taken of run) {
    onStep(taken)
    last = taken.step
  }
  return last
}
