// One rollout of a user's own agent, with its own tools: a function that answers a task and reports what it did.
import { HdpoError } from '../core/errors.js'
import { messageOf } from '../core/message-of.js'
import { splitThought } from '../policy/calls/thoughts.js'
import { type Agent, type ReadAgentResult, readAgentResult } from '../rollout/agent.js'
import type { Task } from '../rollout/types.js'
import { type PlayedRollout, playedRollout } from './played-rollout.js'

/**
 * If the agent throws, the rollout has `failure` and is left ungraded. If its result has the wrong form, or it calls a tool
 * although it was told not to, this rejects with ERR_AGENT: its numbers would mean nothing.
 */
export async function agentRollout(
  agent: Agent,
  {
    task,
    id,
    toolChoice,
    signal,
  }: { task: Task; id: string; toolChoice: 'auto' | 'none'; signal: AbortSignal },
): Promise<PlayedRollout> {
  const began = performance.now()
  const end = ({ outcome, toolCalls = [], usage }: ReadAgentResult, failure?: string): PlayedRollout => {
    const { answer = '' } = outcome
    return playedRollout(
      {
        id,
        taskId: task.id,
        messages: [...task.messages, { role: 'assistant', content: answer }],
        toolCalls: toolCalls.map((call) => ({ observation: '', arguments: {}, ...call })),
        turns: 1,
        end: failure === undefined ? 'answer' : 'aborted',
        latencySeconds: (performance.now() - began) / 1000,
        usage: usage ?? { promptTokens: 0, completionTokens: 0 },
        ...(failure === undefined ? { outcome } : { failure }),
        ...(task.metadata && { metadata: task.metadata }),
      },
      splitThought(answer, 'unknown').said,
    )
  }
  let result: unknown
  try {
    const messages = structuredClone(task.messages)
    result = await agent({ task, messages, toolChoice, rolloutId: id, signal })
  } catch (error) {
    signal.throwIfAborted()
    return end({ outcome: {} }, `the agent failed: ${messageOf(error)}`)
  }
  return end(checkResult(result, task, toolChoice))
}

function checkResult(result: unknown, task: Task, toolChoice: 'auto' | 'none'): ReadAgentResult {
  const where = `task "${task.id}"`
  let read: ReadAgentResult
  try {
    read = readAgentResult(result)
  } catch (error) {
    throw new HdpoError('ERR_AGENT', `${where}: what the agent returned: ${(error as Error).message}`, {
      cause: error,
    })
  }
  if (read.toolCalls === undefined) {
    throw new HdpoError(
      'ERR_AGENT',
      `${where}: the agent must return toolCalls, which an evaluation counts: [] where it made none`,
    )
  }
  if (toolChoice === 'none' && read.toolCalls.length > 0) {
    throw new HdpoError(
      'ERR_AGENT',
      `${where}: the agent called ${read.toolCalls[0]?.name} though toolChoice was 'none'; ` +
        'what it knows cannot be measured',
    )
  }
  return read
}
