// One rollout of somebody's own agent, with its own tools: a function that is asked and says what it did.
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import type { Message } from '../policy/types.js'
import { type Task, type ToolCallRecord, toolCallOutcomes } from '../rollout/types.js'
import { type PlayedRollout, playedRollout } from './played-rollout.js'

export interface AgentQuestion {
  messages: Message[]
  /** 'none': answer without calling anything, which is how it is found out what the agent knows. */
  toolChoice: 'auto' | 'none'
  signal: AbortSignal
}

export interface AgentReply {
  /** All that the agent said last, or the answer alone. */
  answer: string
  /** Every call that it made, in order, failed ones included. */
  toolCalls: {
    name: string
    arguments?: unknown
    outcome?: ToolCallRecord['outcome']
    milliseconds?: number
    cost?: number
  }[]
  usage?: { promptTokens: number; completionTokens: number }
}

export type EvaluatedAgent = (question: AgentQuestion) => Promise<AgentReply> | AgentReply

const replySchema = z.object({
  answer: z.string(),
  toolCalls: z.array(
    z.object({
      name: z.string(),
      arguments: z.unknown().optional(),
      outcome: z.enum(toolCallOutcomes).default('ok'),
      milliseconds: z.number().min(0).default(0),
      cost: z.number().min(0).default(1),
    }),
  ),
  usage: z.object({ promptTokens: z.number().min(0), completionTokens: z.number().min(0) }).optional(),
})

/**
 * An agent that throws makes a rollout with `failure`, which is left ungraded. One whose reply has another form, or that calls a tool
 * though it was told not to, rejects with ERR_AGENT: its numbers would mean nothing.
 */
export async function agentRollout(
  agent: EvaluatedAgent,
  {
    task,
    id,
    toolChoice,
    signal,
  }: { task: Task; id: string; toolChoice: 'auto' | 'none'; signal: AbortSignal },
): Promise<PlayedRollout> {
  const began = performance.now()
  const end = (reply: z.output<typeof replySchema>, failure?: string): PlayedRollout =>
    playedRollout(
      {
        id,
        taskId: task.id,
        messages: [...task.messages, { role: 'assistant', content: reply.answer }],
        toolCalls: reply.toolCalls.map((call) => ({ observation: '', arguments: {}, ...call })),
        turns: 1,
        end: failure === undefined ? 'answer' : 'aborted',
        latencySeconds: (performance.now() - began) / 1000,
        usage: reply.usage ?? { promptTokens: 0, completionTokens: 0 },
        ...(failure !== undefined && { failure }),
        ...(task.metadata && { metadata: task.metadata }),
      },
      failure === undefined ? reply.answer : '',
    )
  let reply: unknown
  try {
    reply = await agent({ messages: structuredClone(task.messages), toolChoice, signal })
  } catch (error) {
    signal.throwIfAborted()
    return end(
      { answer: '', toolCalls: [] },
      `the agent failed: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  return end(checkReply(reply, task, toolChoice))
}

function checkReply(reply: unknown, task: Task, toolChoice: 'auto' | 'none') {
  const parsed = replySchema.safeParse(reply)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0] as z.core.$ZodIssue
    throw new HdpoError(
      'ERR_AGENT',
      `task "${task.id}": the agent must return { answer, toolCalls, usage? }; ${['reply', ...path].join('.')}: ${message}`,
    )
  }
  if (toolChoice === 'none' && parsed.data.toolCalls.length > 0) {
    throw new HdpoError(
      'ERR_AGENT',
      `task "${task.id}": the agent called ${parsed.data.toolCalls[0]?.name} though toolChoice was 'none'; ` +
        'what it knows cannot be measured',
    )
  }
  return parsed.data
}
