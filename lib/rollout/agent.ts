// Somebody's own agent as one function: the same one is trained (lib/server/agent-rollouts.ts) and measured (hdpo eval --agent).
import { inspect } from 'node:util'
import { z } from 'zod'
import { isRecord } from '../core/is-record.js'
import type { Message } from '../policy/types.js'
import { checkOutcome } from './outcome.js'
import { type Outcome, type Task, type ToolCallRecord, toolCallOutcomes } from './types.js'

/** What an agent is told of one rollout. */
export interface AgentContext {
  task: Task
  /** The task's messages, as a copy that the agent may change. */
  messages: Message[]
  /** 'none': answer without calling a tool, which is how it is found out what is known by heart. */
  toolChoice: 'auto' | 'none'
  /** The rollout's place in the group of its task ends it: 'capital-of-peru#3'. */
  rolloutId: string
  /** Aborted when the time is up or the run stops. */
  signal: AbortSignal
  /**
   * In training alone, together with `apiKey` and `model`: where the policy that is trained is served, for an OpenAI client. Every
   * completion that is asked for there, with this key, is recorded in this rollout. An evaluation gives none of the three: the
   * agent asks the model that it has in production.
   */
  baseURL?: string
  /** In training alone. */
  apiKey?: string
  /** In training alone: the name that the server knows the policy by. */
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
   * Every call that it made, in order, failed ones included. An evaluation needs it, empty where there was none. Training needs
   * it not, and takes nothing from it: there calls are counted in the tokens that the policy sampled.
   */
  toolCalls?: AgentToolCall[]
  /** Of all completions of the rollout together. Training counts its tokens itself. */
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
 * Plays one rollout and says what became of it. What it throws leaves the rollout ungraded: it is no fault of the policy.
 * One that is written for training alone may be an Agent<TrainingContext>, whose `baseURL`, `apiKey` and `model` are always there.
 */
export type Agent<Context extends AgentContext = AgentContext> = (
  context: Context,
) => Promise<AgentResult> | AgentResult

const keys = ['answer', 'correct', 'reward', 'toolCalls', 'usage']

const reported = z.object({
  toolCalls: z
    .array(
      z.object({
        name: z.string(),
        arguments: z.unknown().optional(),
        outcome: z.enum(toolCallOutcomes).default('ok'),
        milliseconds: z.number().min(0).default(0),
        cost: z.number().min(0).default(1),
      }),
    )
    .exactOptional(),
  usage: z.object({ promptTokens: z.number().min(0), completionTokens: z.number().min(0) }).exactOptional(),
})

export type ReadAgentResult = z.output<typeof reported> & { outcome: Outcome }

/** Throws a TypeError or RangeError that names what is wrong. */
export function readAgentResult(result: unknown): ReadAgentResult {
  if (!isRecord(result)) {
    throw new TypeError(
      `outcome: must be { ${keys.map((key) => `${key}?`).join(', ')} }, got ${inspect(result)}`,
    )
  }
  const unknown = Object.keys(result).find((key) => !keys.includes(key))
  if (unknown !== undefined) throw new TypeError(`outcome.${unknown}: unknown; known are ${keys.join(', ')}`)
  const { toolCalls, usage, ...outcome } = result
  const parsed = reported.safeParse({
    ...(toolCalls !== undefined && { toolCalls }),
    ...(usage !== undefined && { usage }),
  })
  if (parsed.success) return { ...parsed.data, outcome: checkOutcome(outcome) }
  const { path, message } = parsed.error.issues[0] as z.core.$ZodIssue
  throw new TypeError(`outcome.${path.join('.')}: ${message}`)
}
