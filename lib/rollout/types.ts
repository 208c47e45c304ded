import type { Message } from '../policy/types.js'

/** One question. `answer` is what the reward compares with; `metadata` is kept in the rollout. */
export interface Task {
  id: string
  messages: Message[]
  answer: unknown
  metadata?: Record<string, unknown>
}

export const toolCallOutcomes = [
  'ok',
  'malformed',
  'unknown-tool',
  'bad-arguments',
  'error',
  'timeout',
] as const

/**
 * 'malformed': no call could be read between the tags, or the tags do not balance. 'bad-arguments': the
 * tool's input schema refuses them. 'error': the tool threw. 'timeout': it took longer than it may.
 */
export type ToolCallOutcome = (typeof toolCallOutcomes)[number]

/** 'answer': the policy ended its turn without a call. 'turns' and 'tokens': that cap was reached. */
export const rolloutEnds = ['answer', 'turns', 'tokens', 'aborted'] as const

export interface ToolCallRecord {
  /** Empty if a malformed call has no name. */
  name: string
  /** For a malformed call, the text between its tags. */
  arguments: unknown
  outcome: ToolCallOutcome
  /** The truncated result that the policy reads, or would read if the rollout went on. */
  observation: string
  /** How long the call itself took, without its wait for a free place. */
  milliseconds: number
  /** The cost in the efficiency reward 1 / (1 + sum of costs): the tool's `cost`, 1 if it has none. Default 1. */
  cost?: number
}

/** Token ids from prompt to end; mask 1 where the policy sampled the token; logprobs 0 elsewhere. */
export interface TokenSequence {
  tokens: Int32Array
  mask: Uint8Array
  logprobs: Float32Array
}

/** The outcome of a rollout that an agent ran, as the agent's owner reports it (lib/server). */
export interface Outcome {
  /** Same as reward 1 or 0. */
  correct?: boolean
  /** 0 to 1; only 1 is correct. */
  reward?: number
  /** The final answer, for rewards that compare it with the task's. */
  answer?: string
}

/** The sampling options that tokens were drawn with; those that were not set are absent. */
export interface SamplingRecord {
  temperature: number
  topP?: number
  topK?: number
  minP?: number
}

export interface Rollout extends TokenSequence {
  id: string
  taskId: string
  promptTokens: number
  /**
   * The other token sequences of a rollout that has several (its agent branched, or rewrote its history).
   * No sampled token is in two of them with mask 1, and all are trained with the rollout's advantages.
   */
  moreSequences?: TokenSequence[]
  /** What became of the rollout, as the agent that ran it said. */
  outcome?: Outcome
  /** If an agent ran the rollout: the different sampling options of its requests. */
  sampling?: SamplingRecord[]
  /** An error outside the policy: the rollout says nothing about the policy and is left ungraded. */
  failure?: string
  /**
   * The task's messages, then those of the rollout. The calls of the last turn have been run, but their results
   * are in no message.
   */
  messages: Message[]
  /** Every call that the policy attempted, in order; the length is T of the efficiency reward. */
  toolCalls: ToolCallRecord[]
  /** Assistant turns. */
  turns: number
  /** Why it ended. */
  end: (typeof rolloutEnds)[number]
  /** Text inside the last <answer> tags of the last turn; undefined without an answer. */
  finalAnswer: string | undefined
  /** Whether the markup tags balance and there is exactly one final answer. */
  wellFormed: boolean
  /** Control tokens that tasks, tools or their results spelled out, and that were encoded as ordinary text. Absent: none. */
  controlTokensInText?: number
  /** The task's metadata. */
  metadata?: Record<string, unknown>
}

/** A rollout with its rewards; the trainer adds both advantages. */
export interface ScoredRollout extends Rollout {
  /** 0 to 1; the answer counts as correct (`answer` of the algorithm) only at 1. */
  answerReward: number
  /** 0 or 1. */
  formatReward: number
  accuracyReward: number
  accuracyAdvantage?: number
  efficiencyAdvantage?: number
  ungraded?: never
}

/** A rollout that the reward could not grade. It has no reward and is in no group, so that nothing is learnt from it. */
export interface UngradedRollout extends Rollout {
  /** 0 or 1; it does not depend on the answer's grade. */
  formatReward: number
  /** Why the reward could not grade it. */
  ungraded: string
}
