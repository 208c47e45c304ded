// Forecasts how long a job in stages will take: a guess per stage, corrected by what finished work really took.
import { HdpoError } from '../../core/errors.js'

interface StageForecast {
  name: string
  seconds: number
}

// The guesses weigh like this many seconds of finished work, so that the first moments do not decide.
const trustedSeconds = 5

export class Forecast {
  /** Guessed seconds of finished work, and the seconds that it took. */
  #guessed = 0
  #taken = 0
  readonly #ahead: StageForecast[]
  /** The running stage: its guessed seconds, the share at which it began, the share reached, and the times of both. */
  #current: { seconds: number; begun: number; share: number; beganAt: number; reachedAt: number } | undefined

  constructor(
    readonly stages: readonly StageForecast[],
    private readonly now: () => number = () => performance.now() / 1000,
  ) {
    this.#ahead = [...stages]
  }

  begin(name: string): void {
    this.end()
    const index = this.#ahead.findIndex((stage) => stage.name === name)
    const [stage] = index < 0 ? [] : this.#ahead.splice(index, 1)
    if (!stage) throw new HdpoError('ERR_INTERNAL', `no stage ahead is called ${name}`)
    const now = this.now()
    this.#current = { seconds: stage.seconds, begun: 0, share: 0, beganAt: now, reachedAt: now }
  }

  /** A share of the running stage is done, but its time says nothing about the rest: it was set-up, or an earlier process did it. */
  skip(share: number): void {
    if (!this.#current) return
    const now = this.now()
    this.#current = { ...this.#current, begun: share, share, beganAt: now, reachedAt: now }
  }

  /** The share of the running stage that is done, 0 to 1. */
  reached(share: number): void {
    if (!this.#current) return
    this.#current.share = share
    this.#current.reachedAt = this.now()
  }

  end(): void {
    if (!this.#current) return
    const { seconds, begun, beganAt } = this.#current
    this.#guessed += seconds * (1 - begun)
    this.#taken += this.now() - beganAt
    this.#current = undefined
  }

  /** Seconds until the last stage ends. */
  get remaining(): number {
    const current = this.#current
    const done = current ? current.seconds * (current.share - current.begun) : 0
    const taken = this.#taken + (current ? current.reachedAt - current.beganAt : 0)
    const pace = (trustedSeconds + taken) / (trustedSeconds + this.#guessed + done)
    const left = current ? current.seconds * (1 - current.share) : 0
    return pace * this.#ahead.reduce((sum, stage) => sum + stage.seconds, left)
  }
}
