import type { Message } from '../policy/types.js'

/** One question. `answer` is what the reward compares with; `metadata` is kept in the trajectory. */
export interface Task {
  id: string
  messages: Message[]
  answer: unknown
  metadata?: Record<string, unknown>
}

export type ToolCallOutcome = 'ok' | 'malformed' | 'unknown-tool' | 'bad-arguments' | 'error' | 'timeout'

export interface ToolCallRecord {
  name: string
  arguments: unknown
  outcome: ToolCallOutcome
  observation: string
  milliseconds: number
}

/** Token ids from prompt to end; mask 1 where the policy sampled the token; logprobs 0 elsewhere. */
export interface Trajectory {
  id: string
  taskId: string
  tokens: Int32Array
  mask: Uint8Array
  logprobs: Float32Array
  promptTokens: number
  messages: Message[]
  toolCalls: ToolCallRecord[]
  turns: number
  /** Why it ended. 'turns' and 'tokens': a cap. */
  end: 'answer' | 'turns' | 'tokens' | 'aborted'
  /** Text of the final answer (inside <answer> tags), undefined without one. */
  finalAnswer: string | undefined
  /** Markup tags balance and there is exactly one final answer. */
  wellFormed: boolean
}

/** A trajectory with its rewards; the trainer adds both advantages. */
export interface ScoredTrajectory extends Trajectory {
  /** 0 or 1. */
  answerReward: number
  formatReward: number
  accuracyReward: number
  accuracyAdvantage?: number
  efficiencyAdvantage?: number
}
