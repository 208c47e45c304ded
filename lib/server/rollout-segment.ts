// One token sequence of a rollout, with its conversation. It grows turn by turn while its client sends the history back. What the
// policy sampled is kept as tokens and never encoded again.

import { endsInThought, tokensOfOpening } from '../policy/calls/thoughts.js'
import type { Message, RolloutPolicy, Sequence } from '../policy/types.js'
import { TokenRecord } from '../rollout/token-record.js'
import type { TokenSequence } from '../rollout/types.js'
import type { SampledTurn } from './sample-turn.js'

/** The end of a reply of the policy. */
export interface TurnEnd {
  /** Number of messages up to here. */
  messages: number
  tokens: number
  /** The reply ended with the end-of-turn token. */
  ended: boolean
}

/** How many token sequences were begun in which way, not counting the first of each rollout. */
export interface Splits {
  /** From a point of an earlier sequence: concurrent requests, a second continuation of one history, or n > 1. */
  branched: number
  /** With a history that differs from what the policy saw. */
  rewritten: number
}

export interface SegmentBeginning {
  /** The first tokens, none of which is trained in this segment: a prompt, or another segment up to a branch. */
  tokens: ArrayLike<number>
  keys?: readonly string[]
  messages?: readonly Message[]
  toolsKey: string
  /** The most tokens that the sequence may have. */
  tokenLimit: number
  /** The keys of the prompt's messages, where the segment begins with a prompt. */
  rootKeys?: readonly string[]
  /** Absent for the first segment of a rollout. */
  split?: keyof Splits | undefined
  /** The segment's index in the rollout, from 0, in the order of beginning. */
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
  /** Whether a turn is being sampled. */
  busy = false
  readonly #record: TokenRecord
  /** Created when it is needed; absent again after a turn that was broken off. */
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

  /** `sequence` holds the tokens that the segment begins with. The segment releases it. */
  begin(sequence: Sequence): void {
    this.#sequence = sequence
  }

  /** Returns the native sequence with `given` appended. */
  open(given: readonly number[]): Sequence {
    this.#sequence ??= this.policy.createSequence(this.tokens().tokens)
    if (given.length > 0) this.#sequence.append(given)
    return this.#sequence
  }

  /** Records a turn. `messages` are those since the last reply, and the reply. */
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

  /** Releases the native sequence, because it holds tokens that are not recorded; a new one is created when needed. */
  dropSequence(): void {
    this.#sequence?.release()
    this.#sequence = undefined
  }
}
