// How busy the engine was while rollouts were under way. Slow tools cost little as long as other rollouts keep it busy.
import type { TrainablePolicy } from './trainable-policy.js'

type Clocked = Pick<TrainablePolicy, 'generationStats'>

export class EngineClock {
  private constructor(
    private readonly policy: Clocked,
    private readonly startSeconds: number,
  ) {}

  static async start(policy: Clocked): Promise<EngineClock> {
    return new EngineClock(policy, (await policy.generationStats()).seconds)
  }

  /** The share of the `wallSeconds` since the start in which the engine had nothing to do, 0 to 1. */
  async idleShare(wallSeconds: number): Promise<number> {
    const busy = (await this.policy.generationStats()).seconds - this.startSeconds
    // The two clocks need not agree to the last microsecond.
    return wallSeconds > 0 ? Math.min(Math.max(1 - busy / wallSeconds, 0), 1) : 0
  }
}
