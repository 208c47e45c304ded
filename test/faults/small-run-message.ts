// What the campaign tells a small run to do, and what the run says while it does it.

export const runKinds = ['weights', 'adapter', 'supervised'] as const
export type RunKind = (typeof runKinds)[number]

export interface SmallRun {
  /** Reinforcement learning of all weights with a KL term, or of an adapter, or supervised training. */
  kind: RunKind
  /** The folder of the policy that it begins with. */
  start: string
  output: string
  resume: boolean
}

export type Phase = 'load' | 'run' | 'evaluate' | 'checkpoint' | 'index' | 'save' | 'close'

export type RunMessage =
  | { phase: Phase }
  | { warning: string }
  | { ended: 'finished' }
  /** By an error of the product, or by one of the system that says which file. */
  | { ended: 'refused'; code: string; message: string }
  /** By anything else. */
  | { ended: 'failed'; message: string }
