// A token sequence of a rollout and the conversation that it is. It grows turn by turn while its client sends the
// history back; what the policy sampled is kept as tokens and never encoded again.

import { endsInThought, tokensOfOpening } from '../policy/calls/thoughts.js'
import type { Message, RolloutPolicy, Sequence } from '../policy/types.js'
import { TokenRecord } from '../rollout/token-record.js'
import type { TokenSequence } from '../rollout/types.js'
import type { SampledTurn } from './sample-turn.js'

/** Where a reply of the policy ends. */
export interface TurnEnd {
  /** Messages of the conversation up to it. */
  messages: number
  tokens: number
  /** The policy wrote its end-of-turn token. */
  ended: boolean
}

/** How many token sequences of rollouts came about which way, besides the first of each. */
export interface Splits {
  /** From a point of an earlier sequence: concurrent requests, another continuation of one history, n > 1. */
  branched: number
  /** With a history that is not the one the policy saw. */
  rewritten: number
}

export interface SegmentBeginning {
  /** What the policy is given first, none of which is trained here: a prompt, or another segment up to a branch. */
  tokens: ArrayLike<number>
  keys?: readonly string[]
  messages?: readonly Message[]
  toolsKey: string
  /** Longest that the sequence may become. */
  tokenLimit: number
  /** Of a segment that begins with a prompt: its messages' keys. */
  rootKeys?: readonly string[]
  /** Absent of the first segment of a rollout. */
  split?: keyof Splits | undefined
  /** Which of the rollout's segments it is, from 0, in the order in which they began. */
  number: number
}

export class RolloutSegment {
  readonly keys: string[]
  readonly messages: Message[]
  readonly toolsKey: string
  readonly tokenLimit: number
  readonly promptTokens: number
  readonly rootKeys: readonly string[] | undefined
  readonly split: keyof Splits | undefined
  readonly number: number
  readonly turnEnds: TurnEnd[] = []
  /** A turn is being sampled. */
  busy = false
  readonly #record: TokenRecord
  /** Absent until it is needed, and again after a turn that was broken off. */
  #sequence: Sequence | undefined

  constructor(
    private readonly policy: RolloutPolicy,
    { tokens, keys = [], messages = [], toolsKey, tokenLimit, rootKeys, split, number }: SegmentBeginning,
  ) {
    this.keys = [...keys]
    this.messages = [...messages]
    this.toolsKey = toolsKey
    this.tokenLimit = tokenLimit
    this.rootKeys = rootKeys
    this.split = split
    this.number = number
    this.promptTokens = tokens.length
    this.#record = new TokenRecord(tokens)
  }

  get length(): number {
    return this.#record.length
  }

  tokens(): TokenSequence {
    const { tokens, mask, logprobs } = this.#record.toArrays()
    return { tokens, mask, logprobs }
  }

  /** Whether a turn after `given` begins inside a thought that the template opened. */
  endsInThought(given: readonly number[]): boolean {
    return endsInThought(this.policy.tokenizer, [...this.#record.last(tokensOfOpening), ...given])
  }

  encode(text: string): number[] {
    return this.policy.tokenizer.encode(text)
  }

  /** `sequence` holds the tokens that the segment begins with; the segment releases it. */
  begin(sequence: Sequence): void {
    this.#sequence = sequence
  }

  /** The handle, with `given` appended to it. */
  open(given: readonly number[]): Sequence {
    this.#sequence ??= this.policy.createSequence(this.tokens().tokens)
    if (given.length > 0) this.#sequence.append(given)
    return this.#sequence
  }

  /** `messages` are those since the last reply and the reply. */
  commit(
    given: readonly number[],
    { tokens, logprobs, ended }: SampledTurn,
    messages: readonly { message: Message; key: string }[],
  ): void {
    this.#record.given(given)
    this.#record.sampled(tokens, logprobs)
    this.keys.push(...messages.map(({ key }) => key))
    this.messages.push(...messages.map(({ message }) => message))
    this.turnEnds.push({ messages: this.keys.length, tokens: this.#record.length, ended })
  }

  /** The handle holds tokens that the record does not; another is made when it is needed. */
  dropSequence(): void {
    this.#sequence?.release()
    this.#sequence = undefined
  }
}
