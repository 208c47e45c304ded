// A turn under way on a segment, from the tokens that it is given to those that it samples. It ends with one call of commit() or
// discard().
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
  /** The tokens that the policy is given before its reply. */
  given: readonly number[]
  /** Control tokens that the given texts spell out, and that are encoded as ordinary text. */
  controlTokensInText: number
  /** Thoughts among the given messages that the template has no form for. */
  droppedThoughts: number
  /** The client's messages since the last reply. */
  messages: readonly ChatMessage[]
  /** Creates the sequence of a new segment. */
  begin?: () => Promise<Sequence>
}

/** The text that a reply has to begin with, depending on whether it begins inside a thought; '' where it is free. */
export type ForcedBeginning = (inThought: boolean) => string

export class RolloutTurn {
  /** Resolves when the turn has ended. */
  readonly ended: Promise<void>
  /** Whether the reply begins inside a thought that the template opened. */
  readonly inThought: boolean
  readonly forcedText: string
  readonly #given: readonly number[]
  #end: () => void = () => {}

  constructor(
    private readonly plan: TurnPlan,
    forced: ForcedBeginning,
  ) {
    const { segment, given } = plan
    this.inThought = segment.endsInThought(given)
    this.forcedText = forced(this.inThought)
    this.#given = [...given, ...(this.forcedText === '' ? [] : segment.encode(this.forcedText))]
    segment.busy = true
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  get segment(): RolloutSegment {
    return this.plan.segment
  }
  get controlTokensInText(): number {
    return this.plan.controlTokensInText
  }
  get droppedThoughts(): number {
    return this.plan.droppedThoughts
  }
  get promptTokens(): number {
    return this.plan.segment.length + this.#given.length
  }
  /** Tokens of the prompt that need not be computed again. */
  get continuedTokens(): number {
    return this.plan.segment.turnEnds.length > 0 ? this.plan.segment.length : 0
  }
  /** The most tokens that the policy may sample. */
  get room(): number {
    return this.plan.segment.tokenLimit - this.promptTokens
  }
  promptTokenIds(): number[] {
    return [...this.plan.segment.tokens().tokens, ...this.#given]
  }

  async open(): Promise<Sequence> {
    const { segment, begin } = this.plan
    if (begin) segment.begin(await begin())
    return segment.open(this.#given)
  }

  commit(sampled: SampledTurn, reply: Reply): void {
    const { segment, messages } = this.plan
    segment.commit(this.#given, sampled, [...messages, reply])
    this.#finish()
  }

  /** Leaves the segment as it was before the turn, because nobody read the reply. */
  discard(): void {
    this.plan.segment.dropSequence()
    this.#finish()
  }

  #finish(): void {
    this.plan.segment.busy = false
    this.#end()
  }
}
