// A turn under way on a segment, from what the policy is given to what it says. Ends in commit() or discard(), once.
import type { Message, Sequence } from '../policy/types.js'
import type { ChatMessage } from './chat-message.js'
import type { RolloutSegment } from './rollout-segment.js'
import type { SampledTurn } from './sample-turn.js'

export interface Reply {
  message: Message
  key: string
}

export interface TurnPlan {
  segment: RolloutSegment
  /** What the policy is given before it samples. */
  given: readonly number[]
  /** The client's messages since the last reply. */
  messages: readonly ChatMessage[]
  /** Makes the sequence of a segment that begins now. */
  begin?: () => Promise<Sequence>
}

export class RolloutTurn {
  /** Resolves when the turn has ended. */
  readonly ended: Promise<void>
  #end: () => void = () => {}

  constructor(private readonly plan: TurnPlan) {
    plan.segment.busy = true
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  get segment(): RolloutSegment {
    return this.plan.segment
  }
  get promptTokens(): number {
    return this.plan.segment.length + this.plan.given.length
  }
  /** Tokens of the prompt that need not be computed again. */
  get continuedTokens(): number {
    return this.plan.segment.turnEnds.length > 0 ? this.plan.segment.length : 0
  }
  /** Tokens that the policy may sample. */
  get room(): number {
    return this.plan.segment.tokenLimit - this.promptTokens
  }
  promptTokenIds(): number[] {
    return [...this.plan.segment.tokens().tokens, ...this.plan.given]
  }

  async open(): Promise<Sequence> {
    const { segment, given, begin } = this.plan
    if (begin) segment.begin(await begin())
    return segment.open(given)
  }

  commit(sampled: SampledTurn, reply: Reply): void {
    const { segment, given, messages } = this.plan
    segment.commit(given, sampled, [...messages, reply])
    this.#finish()
  }

  /** Nobody read the reply: the segment stays as it was before the turn. */
  discard(): void {
    this.plan.segment.dropSequence()
    this.#finish()
  }

  #finish(): void {
    this.plan.segment.busy = false
    this.#end()
  }
}
