// What the quickstart reports while it runs: every report of progress comes with the seconds until everything is done.

import type { StepMetrics, SupervisedMetrics } from '../../trainer/metrics.js'
import type { Forecast } from './forecast.js'
import { type QuickstartStage, stageTitles } from './stage-forecasts.js'

export interface QuickstartObserver {
  /** Called before the long work, with the forecast seconds of each remaining stage on this machine. */
  forecast(stages: readonly { title: string; seconds: number }[]): void
  /** Called when a stage begins. */
  stage(description: string): void
  coldStartStep(metrics: SupervisedMetrics, steps: number, remaining: number): void
  questionsAsked(done: number, of: number, remaining: number): void
  trainStep(metrics: StepMetrics, steps: number, remaining: number): void
  /** Called with a line that stays visible. */
  note(line: string): void
}

export class QuickstartProgress {
  #firstStep = true

  constructor(
    private readonly observer: QuickstartObserver,
    private readonly forecast: Forecast,
  ) {
    const stages = forecast.stages.map(({ name, seconds }) => ({
      title: stageTitles[name as QuickstartStage],
      seconds,
    }))
    if (stages.length > 0) observer.forecast(stages)
  }

  begin(stage: QuickstartStage, description: string): void {
    this.forecast.begin(stage)
    this.#firstStep = true
    this.observer.stage(description)
  }

  coldStartStep(metrics: SupervisedMetrics, steps: number): void {
    this.observer.coldStartStep(metrics, steps, this.#stepTaken(metrics.step, steps))
  }

  trainStep(metrics: StepMetrics, steps: number): void {
    this.observer.trainStep(metrics, steps, this.#stepTaken(metrics.step, steps))
  }

  questionsAsked(done: number, of: number): void {
    this.forecast.reached(done / of)
    this.observer.questionsAsked(done, of, this.forecast.remaining)
  }

  #stepTaken(step: number, steps: number): number {
    // Time before the first step is skipped: an earlier process may have taken steps, and conversations and kernels were being
    // made.
    if (this.#firstStep) this.forecast.skip(step / steps)
    else this.forecast.reached(step / steps)
    this.#firstStep = false
    return this.forecast.remaining
  }
}
