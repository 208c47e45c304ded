// Decides whether a tool trace fits the cold start, by the three steps of the HDPO paper, and by its answer where that can be
// checked.

import { isFullScore } from '../core/full-score.js'
import { findAnswers } from '../policy/calls/markup.js'
import { splitThought } from '../policy/calls/thoughts.js'
import type { Message } from '../policy/types.js'
import type { Judge } from '../rewards/judge/judge.js'
import { type RewardOptions, Ungraded } from '../rewards/rewards.js'
import type { RolloutOptions } from '../rollout/options.js'
import type { Task } from '../rollout/types.js'
import type { Tool } from '../tools/types.js'
import type { ImportedConversation } from '../traces/conversation.js'
import type { MarkedTask } from './marked-task.js'
import { judgeRationale } from './rationale.js'
import { findFailingCall } from './replay.js'

export const dropReasons = [
  'known',
  'failing-call',
  'wrong-answer',
  'ungraded-answer',
  'rationale',
  'ungraded-rationale',
] as const
/** 'known': the policy answers the question without tools, every time. */
export type DropReason = (typeof dropReasons)[number]

export type Review = { keep: true } | { keep: false; reason: DropReason; detail: string }

interface ReviewOptions {
  id: string
  tools: readonly Tool[]
  reward: RewardOptions
  /** The task with the same question, where there is one. */
  marked: MarkedTask | undefined
  rollout?: RolloutOptions
  rationale?: { judge: Judge; rubric: string }
  signal: AbortSignal
}

/** Cheap checks come first, the judge last. In conversations without a call only the answer is checked. */
export async function reviewTrace(trace: ImportedConversation, options: ReviewOptions): Promise<Review> {
  const { marked, rationale } = options
  const calls = trace.messages.some(({ toolCalls = [] }) => toolCalls.length > 0)
  if (calls && marked?.mark === 'known') {
    return {
      keep: false,
      reason: 'known',
      detail: `task ${marked.task.id} is answered right every time without tools`,
    }
  }
  const failing = calls ? await findFailingCall(trace.messages, options.tools, options) : undefined
  if (failing !== undefined) return { keep: false, reason: 'failing-call', detail: failing }
  const answer = marked ? await reviewAnswer(trace.messages, marked.task, options) : undefined
  if (answer) return answer
  if (!calls || !rationale) return { keep: true }
  const judged = await judgeRationale(trace.messages, rationale.judge, rationale.rubric)
  if (judged.sensible) return { keep: true }
  const reason = judged.sensible === undefined ? 'ungraded-rationale' : 'rationale'
  return { keep: false, reason, detail: judged.reason }
}

/** Why the trace is dropped; undefined where its answer is right. */
async function reviewAnswer(
  messages: readonly Message[],
  task: Task,
  { id, reward }: ReviewOptions,
): Promise<Review | undefined> {
  const { said } = splitThought(messages.at(-1)?.content ?? '', 'unknown')
  const finalAnswer = findAnswers(said).at(-1)
  const score = await reward.answer(asRollout(id, task, messages, finalAnswer), task)
  if (score instanceof Ungraded) return { keep: false, reason: 'ungraded-answer', detail: score.reason }
  if (isFullScore(Number(score))) return undefined
  return { keep: false, reason: 'wrong-answer', detail: `answers ${JSON.stringify(finalAnswer ?? null)}` }
}

/** A trace in the form that rewards take; it has no tokens, because no policy sampled it. */
function asRollout(id: string, task: Task, messages: readonly Message[], finalAnswer: string | undefined) {
  return {
    id,
    taskId: task.id,
    tokens: new Int32Array(0),
    mask: new Uint8Array(0),
    logprobs: new Float32Array(0),
    promptTokens: 0,
    messages: [...messages],
    toolCalls: [],
    turns: messages.filter(({ role }) => role === 'assistant').length,
    end: 'answer' as const,
    finalAnswer,
    wellFormed: true,
    ...(task.metadata && { metadata: task.metadata }),
  }
}
