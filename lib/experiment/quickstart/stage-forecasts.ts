// What each stage of the quickstart takes on a machine of some speed. The work of a rollout was measured: seconds of a stage times
// the speed of the machine (machine-speed.ts) that it ran on, so it holds what tools, JavaScript and uneven batches cost too.
import type { BuiltInFamily } from '../../families/built-in-families.js'
import { Forecast } from './forecast.js'
import type { MachineSpeed } from './machine-speed.js'
import type { QuickstartSettings } from './settings.js'

/** Stages in order, with what people read. */
export const stageTitles = {
  'cold-start': 'cold start',
  knowledge: 'what it knows',
  before: 'before',
  train: 'HDPO',
  after: 'after',
}
export type QuickstartStage = keyof typeof stageTitles

/** In tokens of the speed that they are divided by. */
interface Work {
  /** Tokens of the cold start's conversations. */
  conversations: number
  /** Sampled in a rollout without tools, and with them. */
  fromMemory: number
  withTools: number
  /** Trained of a rollout. */
  trained: number
}

const work: Record<BuiltInFamily, Work> = {
  atlas: { conversations: 210_000, fromMemory: 20, withTools: 35, trained: 13 },
  cities: { conversations: 570_000, fromMemory: 20, withTools: 35, trained: 13 },
}

interface QuickstartPlan {
  environment: BuiltInFamily
  settings: QuickstartSettings
  steps: number
  heldOut: number
}

export function forecastQuickstart(
  { environment, settings, steps, heldOut }: QuickstartPlan,
  { sampled, trained }: MachineSpeed,
  ahead: readonly QuickstartStage[],
): Forecast {
  const { coldStart, train, curve, knownSamples, evaluationSamples } = settings
  const per = work[environment]
  const evaluation = (heldOut * evaluationSamples * per.withTools) / sampled
  const rollouts = steps * train.groupSize * train.promptsPerStep
  const onCurve = Math.ceil(steps / curve.every) * Math.min(2 * curve.questions, heldOut)
  const seconds: Record<QuickstartStage, number> = {
    'cold-start': (coldStart.epochs * per.conversations) / trained,
    knowledge: (heldOut * knownSamples * per.fromMemory) / sampled,
    before: evaluation,
    train: ((rollouts + onCurve) * per.withTools) / sampled + (rollouts * per.trained) / trained,
    after: evaluation,
  }
  return new Forecast(ahead.map((name) => ({ name, seconds: seconds[name] })))
}
