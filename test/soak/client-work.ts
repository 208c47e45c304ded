export interface Work {
  url: string
  seed: number
  /** Number of the first rollout. */
  first: number
  rollouts: number
  /** Clients that play side by side. */
  atOnce: number
}

export interface WorkDone {
  /** Rollouts of each behaviour. */
  played: Record<string, number>
  /** The first answers that no client should get. */
  unexpected: string[]
  unexpectedCount: number
}
