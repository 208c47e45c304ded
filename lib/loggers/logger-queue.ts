// All loggers of a run, each with its own queue: a slow or failing logger delays neither the training nor the other loggers.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../core/message-of.js'
import { flattenMetrics } from './flatten-metrics.js'
import type { LoggedRun, RunLogger, RunOutcome } from './types.js'

interface LoggerQueueOptions {
  warn: (message: string) => void
  /** Steps that may wait for one logger; further ones are dropped with a warning. Default 1,000. */
  mostWaiting?: number
  /** Milliseconds that the end of a run waits for its loggers. Default 10,000. */
  patience?: number
}

export class LoggerQueue {
  readonly #queues: OneLogger[]
  readonly #patience: number

  constructor(
    loggers: readonly RunLogger[],
    { warn, mostWaiting = 1000, patience = 10_000 }: LoggerQueueOptions,
  ) {
    this.#queues = loggers.map((logger) => new OneLogger(logger, warn, mostWaiting))
    this.#patience = patience
  }

  start(run: LoggedRun): void {
    for (const queue of this.#queues) queue.start(run)
  }

  log(metrics: { step: number }): void {
    if (this.#queues.length === 0) return
    const flat = flattenMetrics(metrics)
    for (const queue of this.#queues) queue.log(metrics.step, flat)
  }

  /** Resolves once every logger has written what it was given, or after `patience`. Never rejects. */
  async end(outcome: RunOutcome): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.end(outcome, this.#patience)))
  }
}

class OneLogger {
  #last: Promise<void> = Promise.resolve()
  #waiting = 0
  #leftOut = 0
  #off = false
  #told = false
  #warned = false

  constructor(
    private readonly logger: RunLogger,
    private readonly warn: (message: string) => void,
    private readonly mostWaiting: number,
  ) {}

  start(run: LoggedRun): void {
    this.#told = true
    this.#add(async () => {
      try {
        await this.logger.start?.(run)
      } catch (error) {
        this.#off = true
        throw error
      }
    })
  }

  log(step: number, metrics: Readonly<Record<string, number>>): void {
    this.#told = true
    if (this.#waiting >= this.mostWaiting) this.#leftOut++
    else this.#add(() => this.logger.log(step, metrics))
  }

  async end(outcome: RunOutcome, patience: number): Promise<void> {
    // A run that was refused, or had nothing left to do, never told its loggers that it began.
    if (!this.#told) return
    this.#add(() => this.logger.end?.(outcome))
    const given = new AbortController()
    const late = sleep(patience, 'late' as const, { signal: given.signal }).catch(() => undefined)
    const first = await Promise.race([this.#last, late])
    given.abort()
    const { name } = this.logger
    if (first === 'late')
      this.warn(`logger ${name}: ${this.#waiting} entries were not written within ${patience} ms`)
    if (this.#leftOut > 0) this.warn(`logger ${name}: too slow; ${this.#leftOut} steps were left out`)
  }

  #add(work: () => Promise<void> | void): void {
    this.#waiting++
    this.#last = this.#last.then(async () => {
      try {
        if (!this.#off) await work()
      } catch (error) {
        this.#failed(error)
      } finally {
        this.#waiting--
      }
    })
  }

  /** Warns only once, because a service that is down would fail in the same way at every step. */
  #failed(error: unknown): void {
    if (this.#warned) return
    this.#warned = true
    const reason = messageOf(error)
    this.warn(
      `logger ${this.logger.name}: ${reason}; the run goes on without ${this.#off ? 'it' : 'what failed'}`,
    )
  }
}
