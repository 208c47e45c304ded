// What a served rollout is told at its start.
import type { Task } from '../rollout/types.js'
import type { RequestedSampling } from './completion-request.js'

/** What holds for a rollout whatever its agent asks for. */
export interface RolloutLimits {
  /** Wins over the requests': all rollouts that are trained must be sampled as the trainer takes them to be. */
  sampling?: Pick<RequestedSampling, 'temperature' | 'topP' | 'topK' | 'minP' | 'seed'>
  /** Tokens after the first prompt. */
  maxTokens?: number
  /** Tokens that the policy may sample in one turn. */
  maxTurnTokens?: number
  /** 'none': the policy cannot call tools, whatever the requests say. Default 'auto': as the requests say. */
  toolChoice?: 'auto' | 'none'
}

export interface RolloutDefinition extends RolloutLimits {
  id: string
  task: Pick<Task, 'id' | 'metadata'>
}
