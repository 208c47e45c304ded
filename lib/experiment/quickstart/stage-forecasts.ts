// Forecasts the quickstart's stages for a machine of known speed. The work per rollout was measured as the seconds of a stage
// times the speed (machine-speed.ts) of the machine that it ran on, so it includes the cost of tools, JavaScript and uneven
// batches.
import type { BuiltInFamily } from '../../families/built-in-families.js'
import { Forecast } from './forecast.js'
import type { MachineSpeed } from './machine-speed.js'
import type { QuickstartSettings } from './settings.js'

/** The stages in order, with their names for people. */
export const stageTitles = {
  'cold-start': 'cold start',
  knowledge: 'what it knows',
  before: 'before',
  train: 'HDPO',
  after: 'after',
}
export type QuickstartStage = keyof typeof stageTitles

/** Work in tokens; each number is divided by the machine's sampling or training speed. */
interface Work {
  /** Tokens of the cold start's conversations, trained once. */
  conversations: number
  /** Tokens sampled per rollout: without tools, and with them. */
  fromMemory: number
  withTools: number
  /** Tokens trained per rollout. */
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
