// What rollouts and the trainer need of a policy. `Policy` (policy.ts) implements it over the native engine; tests of rollouts
// implement it with a script.
import type { Sample, SamplingOptions } from '../native/types.js'
import type { ToolFormat } from './calls/formats.js'
import type { ToolCall } from './calls/tool-call.js'

export type { Sample, SamplingOptions, ToolCall, ToolFormat }

export interface Message {
  role: 'system' | 'user' | 'assistant' | 'tool'
  content: string
  /** Tool messages: the tool's name. */
  name?: string
  /** Tool messages: the id of the call. Default: results are in the order of the calls that they follow. */
  callId?: string
  /**
   * Assistant messages: what the turn thinks before `content`, without tags, where it is kept apart as by APIs (reasoning_content). A
   * template that has no form for thoughts leaves it out.
   */
  thought?: string
  /** Assistant messages: calls, in order. */
  toolCalls?: ToolCall[]
  /** Assistant messages in supervised training: which of the turn's tokens are trained. Default 'all'. */
  trained?: TrainedPart
}

/**
 * 'without-calls' trains the turn as a rollout with toolChoice 'none' samples it: the token that begins a call is left out of the
 * softmax. It teaches what the policy says when it may not call, and nothing about whether it should. 'first': the turn's first
 * token alone.
 */
export type TrainedPart = 'all' | 'without-calls' | 'first' | 'none'

/** A tool as the chat template sees it (OpenAI function format's `function` part). */
export interface ToolDescription {
  name: string
  description: string
  /** JSON Schema. */
  parameters: Record<string, unknown>
}

export interface Tokenizer {
  readonly vocabSize: number
  /**
   * Tokens of `text` where it stands after `before`. SentencePiece's tokenizers put a space in front of what begins a text, and
   * would put one in front of what goes on.
   */
  encode(text: string, before?: string): number[]
  /** `continues`: the tokens go on from others, so that a space in front of the first is one. */
  decode(tokens: ArrayLike<number>, options?: { continues?: boolean }): string
  /** The id of a token that is one entry of the vocabulary, e.g. '<|im_end|>'; undefined where it is not one. */
  tokenId(token: string): number | undefined
  /** Bytes of each token, empty for special tokens. */
  tokenBytes(): Uint8Array[]
}

export interface ChatTemplate {
  /** Tokens of the conversation with the generation prompt of the next assistant turn. */
  prompt(messages: Message[], tools: ToolDescription[]): number[]
  /** Tokens that follow an assistant turn already in the sequence (its end-of-turn token included): the tool messages and the next
   * generation prompt. `turnEnded`: whether the policy sampled its end-of-turn token itself. */
  observation(toolMessages: Message[], turnEnded: boolean): number[]
  /** Tokens of a whole conversation for supervised training, with mask 1 on what the assistant writes (end-of-turn included),
   * as far as each message's `trained` says; 2 where that is 'without-calls'. */
  supervised(messages: Message[], tools: ToolDescription[]): SupervisedTokens
  /** How many control tokens the texts of messages and tools spell out. They are encoded as ordinary text. Absent: not counted. */
  controlTokensInText?(messages: Message[], tools: ToolDescription[]): number
  readonly endOfTurn: number
  /** Every token that ends a turn, endOfTurn first. Absent: endOfTurn alone. */
  readonly endTokens?: readonly number[]
  /** How the policy writes calls. Absent: 'hermes'. */
  readonly toolFormat?: ToolFormat
  /** Whether the template itself has a form for calls and shows it. */
  readonly writesCalls?: boolean
  /** Whether the template has a form for Message.thought. Absent: it has one. */
  readonly writesThoughts?: boolean
}

export interface SupervisedTokens {
  tokens: number[]
  mask: number[]
  /** Thoughts that were left out, because the template has no form for them or its variables turn them off. Absent: none. */
  droppedThoughts?: number
}

/** A handle on native state. Methods without a promise take effect in order on the engine's thread. */
export interface Sequence {
  /** A second sequence that shares the cached prefix. */
  fork(): Sequence
  append(tokens: ArrayLike<number>): void
  prefill(): Promise<void>
  sample(options: SamplingOptions): Promise<Sample>
  release(): void
}

export interface RolloutPolicy {
  readonly tokenizer: Tokenizer
  readonly template: ChatTemplate
  /** Longest sequence in tokens. */
  readonly maxTokens: number
  createSequence(tokens: ArrayLike<number>): Sequence
}
