// Somebody's own agent as one function: the same one is trained (lib/server/agent-rollouts.ts) and measured (hdpo eval --agent).
import { z } from 'zod'
import { notNegative } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import type { Message } from '../policy/types.js'
import { outcomeShape, saysOneThing } from './outcome.js'
import { type Outcome, type Task, type ToolCallRecord, toolCallOutcomes } from './types.js'

/** What an agent is told about one rollout. */
export interface AgentContext {
  task: Task
  /** The task's messages, as a copy that the agent may change. */
  messages: Message[]
  /** 'none': answer without calling a tool; an evaluation finds out in this way what the model knows by heart. */
  toolChoice: 'auto' | 'none'
  /** The task's id and the rollout's place in its group: 'capital-of-peru#3'. */
  rolloutId: string
  /** Aborted when the time is up or the run stops. */
  signal: AbortSignal
  /**
   * Only in training, together with `apiKey` and `model`: where the policy in training is served, for an OpenAI client. Every
   * completion that is requested there with this key is recorded in this rollout. An evaluation gives none of the three: the
   * agent calls the model that it uses in production.
   */
  baseURL?: string
  /** Only in training. */
  apiKey?: string
  /** Only in training: the server's name for the policy. */
  model?: string
}

/** The context in training, where the policy that is trained is served. */
export interface TrainingContext extends AgentContext {
  baseURL: string
  apiKey: string
  model: string
}

/** What an agent says that it did: at least one of `answer`, `correct` and `reward`. */
export interface AgentResult extends Outcome {
  /**
   * Every call that it made, in order, failed ones included. An evaluation needs the list, empty if there was no call. Training
   * does not use it: there calls are counted in the tokens that the policy sampled.
   */
  toolCalls?: AgentToolCall[]
  /** Tokens of all completions of the rollout together. Training counts its tokens itself. */
  usage?: { promptTokens: number; completionTokens: number }
}

export interface AgentToolCall {
  name: string
  arguments?: unknown
  /** Default 'ok'. */
  outcome?: ToolCallRecord['outcome']
  /** Default 0. */
  milliseconds?: number
  /** Default 1. */
  cost?: number
}

/**
 * Plays one rollout and reports its outcome. If it throws, the rollout is left ungraded, since that is no fault of the policy.
 * An agent only for training may be an Agent<TrainingContext>, whose `baseURL`, `apiKey` and `model` are always there.
 */
export type Agent<Context extends AgentContext = AgentContext> = (
  context: Context,
) => Promise<AgentResult> | AgentResult

const agentCallShape = {
  /** The tool's name. */
  name: z.string(),
  /** What it was called with. */
  arguments: z.unknown().optional(),
  /** What came of it. Default 'ok'. */
  outcome: z.enum(toolCallOutcomes).default('ok'),
  /** How long it took. Default 0. */
  milliseconds: notNegative.default(0),
  /** What it cost. Default 1. */
  cost: notNegative.default(1),
}
const usageShape = {
  /** Tokens of all prompts together. */
  promptTokens: notNegative,
  /** Tokens of all completions together. */
  completionTokens: notNegative,
}
export const agentResult = z
  .strictObject({
    ...outcomeShape,
    // An agent may report more about a call, and about its tokens, than is used here.
    /** Every call that it made, in order, failed ones included. An evaluation needs it; training takes nothing from it. */
    toolCalls: z.array(z.object(agentCallShape)).optional(),
    /** Tokens of the whole rollout. Training counts its tokens itself. */
    usage: z.object(usageShape).optional(),
  })
  .superRefine(saysOneThing)

export type ReadAgentResult = Pick<z.output<typeof agentResult>, 'toolCalls' | 'usage'> & { outcome: Outcome }

/** Throws InvalidOptionError. */
export function readAgentResult(result: unknown): ReadAgentResult {
  const { toolCalls, usage, ...outcome } = readOptions(agentResult, result, 'outcome')
  return { outcome, ...(toolCalls && { toolCalls }), ...(usage && { usage }) }
}
