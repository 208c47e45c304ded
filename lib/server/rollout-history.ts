// Finds the token sequence that a request continues. A request carries the whole conversation; where its beginning is a sequence
// of the rollout, only the new messages are given to the policy.

import { ApiError } from '../http/api-error.js'
import type { Message, RolloutPolicy } from '../policy/types.js'
import type { ChatMessage } from './chat-message.js'
import type { CompletionRequest } from './completion-request.js'
import type { PromptCache } from './prompt-cache.js'
import { RolloutSegment, type SegmentBeginning, type Splits, type TurnEnd } from './rollout-segment.js'
import type { TurnPlan } from './rollout-turn.js'

interface Match {
  segment: RolloutSegment
  turnEnd: TurnEnd
}

/** The most sequences per rollout; an agent that makes more does not send its history back unchanged. */
const maxSegments = 128

export class RolloutHistory {
  /** Thoughts of messages that were left out, because the template has no form for them. */
  droppedThoughts = 0
  readonly #segments: RolloutSegment[] = []
  #begun = 0

  constructor(
    private readonly policy: RolloutPolicy,
    private readonly prompts: PromptCache,
    /** The most tokens after the first prompt. */
    private readonly maxTokens: number = Number.POSITIVE_INFINITY,
  ) {}

  /** Segments in which the policy has written something. */
  get segments(): RolloutSegment[] {
    return this.#segments.filter(({ turnEnds }) => turnEnds.length > 0)
  }

  get splits(): Splits {
    const count = (split: keyof Splits) => this.segments.filter((segment) => segment.split === split).length
    return { branched: count('branched'), rewritten: count('rewritten') }
  }

  /** Releases the native sequences. */
  release(): void {
    for (const segment of this.#segments) segment.dropSequence()
  }

  /** Removes a segment whose first turn was broken off. */
  forgetIfEmpty(segment: RolloutSegment): void {
    if (segment.turnEnds.length === 0) this.#segments.splice(this.#segments.indexOf(segment), 1)
  }

  plan(request: CompletionRequest): TurnPlan {
    const match = this.#longestMatch(request)
    if (!match) return this.#begin(request)
    const { segment, turnEnd } = match
    const messages = request.messages.slice(turnEnd.messages)
    const { template } = this.policy
    const given = template.observation(messages.map(withItsIds), turnEnd.ended)
    const controlTokensInText = template.controlTokensInText?.(messages.map(withItsIds), []) ?? 0
    const isFree = !segment.busy && turnEnd === segment.turnEnds.at(-1)
    return {
      segment: isFree ? segment : this.#branch(match),
      given,
      messages,
      controlTokensInText,
      droppedThoughts: this.#dropped(messages),
    }
  }

  /** Among matches of equal length, one that can be continued is preferred, so that nothing is computed twice. */
  #longestMatch({ messages, toolsKey }: CompletionRequest): Match | undefined {
    const matches = this.#segments
      .filter((segment) => segment.toolsKey === toolsKey)
      .flatMap((segment) => segment.turnEnds.map((turnEnd): Match => ({ segment, turnEnd })))
      .filter(({ segment, turnEnd }) => startsWith(messages, segment.keys.slice(0, turnEnd.messages)))
    const longest = Math.max(...matches.map(({ turnEnd }) => turnEnd.messages))
    const candidates = matches.filter(({ turnEnd }) => turnEnd.messages === longest)
    return (
      candidates.find(({ segment, turnEnd }) => !segment.busy && turnEnd === segment.turnEnds.at(-1)) ??
      candidates[0]
    )
  }

  #begin(request: CompletionRequest): TurnPlan {
    const { template } = this.policy
    const messages = request.messages.map(withItsIds)
    const tokens = template.prompt(messages, request.tools)
    const tokenLimit = Math.min(this.policy.maxTokens, tokens.length + this.maxTokens)
    const repeatsPrompt = this.#segments.some(
      ({ rootKeys }) => rootKeys !== undefined && equal(rootKeys, request.messages),
    )
    const segment = this.#add({
      tokens,
      toolsKey: request.toolsKey,
      tokenLimit,
      rootKeys: request.messages.map(({ key }) => key),
      split: this.#segments.length === 0 ? undefined : repeatsPrompt ? 'branched' : 'rewritten',
    })
    return {
      segment,
      given: [],
      messages: request.messages,
      controlTokensInText: template.controlTokensInText?.(messages, request.tools) ?? 0,
      droppedThoughts: this.#dropped(request.messages),
      begin: () => this.prompts.fork(tokens),
    }
  }

  #dropped(messages: readonly ChatMessage[]): number {
    if (this.policy.template.writesThoughts !== false) return 0
    const thoughts = messages.filter(({ message }) => message.thought !== undefined).length
    this.droppedThoughts += thoughts
    return thoughts
  }

  #branch({ segment, turnEnd }: Match): RolloutSegment {
    return this.#add({
      split: 'branched',
      tokens: segment.tokens().tokens.subarray(0, turnEnd.tokens),
      keys: segment.keys.slice(0, turnEnd.messages),
      messages: segment.messages.slice(0, turnEnd.messages),
      toolsKey: segment.toolsKey,
      tokenLimit: segment.tokenLimit,
    })
  }

  #add(beginning: Omit<SegmentBeginning, 'number'>): RolloutSegment {
    if (this.#segments.length >= maxSegments) {
      throw new ApiError(
        400,
        `the rollout has ${maxSegments} token sequences already: its agent neither keeps its history nor ends`,
        { code: 'too_many_segments' },
      )
    }
    const segment = new RolloutSegment(this.policy, { ...beginning, number: this.#begun++ })
    this.#segments.push(segment)
    return segment
  }
}

/** Adds the ids of calls, for templates that write them. */
function withItsIds({ message, callIds, callId }: ChatMessage): Message {
  const { toolCalls } = message
  return {
    ...message,
    ...(toolCalls && {
      toolCalls: toolCalls.map((call, index) => ({ ...call, id: callIds[index] as string })),
    }),
    ...(callId !== undefined && { callId }),
  }
}

function startsWith(messages: readonly ChatMessage[], keys: readonly string[]): boolean {
  return keys.length <= messages.length && keys.every((key, index) => messages[index]?.key === key)
}

function equal(keys: readonly string[], messages: readonly ChatMessage[]): boolean {
  return keys.length === messages.length && startsWith(messages, keys)
}
