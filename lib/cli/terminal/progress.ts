// One line per step for people.
import type { StepMetrics, SupervisedMetrics } from '../../trainer/metrics.js'
import { duration, percent } from './table.js'

/** The remaining time, from the mean time of the steps that this process took. */
export class Eta {
  readonly #start = performance.now()
  #taken = 0

  constructor(private readonly steps: number) {}

  after(step: number): string {
    this.#taken++
    const secondsPerStep = (performance.now() - this.#start) / 1000 / this.#taken
    return duration(secondsPerStep * (this.steps - step))
  }
}

export function describeStep(metrics: StepMetrics, steps: number, eta: string): string {
  const redundant = metrics.evaluation?.redundantCallRate
  const fields = [
    `step ${metrics.step}/${steps}`,
    `eta ${eta}`,
    `accuracy ${percent(metrics.accuracy)}`,
    `calls ${metrics.callsPerRollout.toFixed(2)}`,
    ...(redundant === undefined ? [] : [`redundant ${percent(redundant)}`]),
    `qualifying ${percent(metrics.qualifyingRatio)}`,
    `loss acc ${number(metrics.accuracyLoss)} eff ${number(metrics.efficiencyLoss)}`,
    `clip ${percent(metrics.clippedLow)}/${percent(metrics.clippedHigh)}/${percent(metrics.dualClipped)}`,
    `kl ${number(metrics.kl)}`,
    `entropy ${metrics.entropy.toFixed(3)}`,
    `${Math.round(metrics.tokensPerSecond)} tok/s`,
    `idle ${percent(metrics.engineIdleShare)}`,
    ...(metrics.ungradedRollouts > 0 ? [`ungraded ${metrics.ungradedRollouts}`] : []),
    ...(metrics.skipped ? ['SKIPPED'] : []),
  ]
  return fields.join('  ')
}

export function describeSupervisedStep(metrics: SupervisedMetrics, steps: number, eta: string): string {
  const fields = [
    `step ${metrics.step}/${steps}`,
    `eta ${eta}`,
    `loss ${metrics.loss.toFixed(4)}`,
    `gradient ${metrics.gradientNorm.toFixed(2)}`,
    `lr ${metrics.learningRate.toExponential(1)}`,
    `${Math.round(metrics.tokensPerSecond)} tok/s`,
    ...(metrics.skipped ? ['SKIPPED: not finite'] : []),
  ]
  return fields.join('  ')
}

function number(value: number): string {
  return value === 0 ? '0' : Math.abs(value) < 0.001 ? value.toExponential(1) : value.toFixed(3)
}
