// One rollout: sample a turn, run the calls in it, append what they returned, go on.
//
// Token in, token out: sampled tokens are decoded to find calls and answers, and never encoded again. Every
// call that the policy attempts is run and counted in T, including malformed calls and those of a turn that a
// cap cuts short.

import { z } from 'zod'
import { seed as seedOption, signal as signalOption } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { withStopSignal } from '../core/stop-signal.js'
import { withCallIds } from '../policy/calls/call-ids.js'
import { formatOf } from '../policy/calls/formats.js'
import { findAnswers, isWellFormed } from '../policy/calls/markup.js'
import { allRead, type ParsedToolCall } from '../policy/calls/parsed-call.js'
import { endsInThought, splitThought } from '../policy/calls/thoughts.js'
import { endTokensOf } from '../policy/chat-template.js'
import type { Message, RolloutPolicy, Sample, SamplingOptions, Sequence } from '../policy/types.js'
import type { Tool } from '../tools/types.js'
import type { RolloutOptions } from './options.js'
import { runToolCall } from './run-tool-call.js'
import { createSetting, type Setting } from './setting.js'
import { rolloutSpan } from './spans.js'
import { TokenRecord } from './token-record.js'
import type { Rollout, Task, ToolCallRecord } from './types.js'

export type { RolloutOptions }

export const runRolloutShape = {
  /** Draws depend on the seed and a token's place alone, so one seed serves all turns. Default 0. */
  seed: seedOption.default(0),
  /** Default: the task's id. */
  id: z.string().optional(),
  /** Aborting it ends the rollout, with end 'aborted'. */
  signal: signalOption.optional(),
}
const runRolloutOptions = z.strictObject(runRolloutShape)
export interface RunRolloutOptions extends RolloutOptions, OptionsOf<typeof runRolloutShape> {}

interface RolloutIdentity {
  id: string
  seed: number
  signal: AbortSignal
}

/**
 * Plays one rollout, which shares its prompt with no other. Rejects only for wrong options and errors of the engine, not for
 * anything that the policy or a tool does.
 */
export async function runRollout(
  policy: RolloutPolicy,
  task: Task,
  tools: readonly Tool[],
  { seed: givenSeed, id: givenId, signal, ...options }: RunRolloutOptions = {},
): Promise<Rollout> {
  const given = { seed: givenSeed, id: givenId, signal }
  const { seed, id = task.id } = readOptions(runRolloutOptions, given)
  const setting = createSetting(policy, task, tools, options)
  const sequence = policy.createSequence(setting.prompt)
  try {
    return await withStopSignal([signal], (stop) =>
      playRollout(setting, sequence, { id, seed, signal: stop }),
    )
  } finally {
    sequence.release()
  }
}

/** Plays a rollout on `sequence`, which holds the prompt; the caller releases it. */
export function playRollout(
  setting: Setting,
  sequence: Sequence,
  identity: RolloutIdentity,
): Promise<Rollout> {
  return rolloutSpan({ id: identity.id, taskId: setting.task.id }, () =>
    new RunningRollout(setting, sequence, identity).play(),
  )
}

interface Turn {
  text: string
  calls: ParsedToolCall[]
  /** Whether the policy sampled its end-of-turn token. */
  ended: boolean
  finishReason: Sample['finishReason']
}

class RunningRollout {
  readonly #record: TokenRecord
  readonly #texts: string[] = []
  readonly #messages: Message[] = []
  readonly #toolCalls: ToolCallRecord[] = []
  readonly #ended = new AbortController()
  /** Whether the next turn begins inside a thought that the template opened. */
  #inThought: boolean
  #controlTokensInText: number

  constructor(
    private readonly setting: Setting,
    private readonly sequence: Sequence,
    private readonly identity: RolloutIdentity,
  ) {
    this.#record = new TokenRecord(setting.prompt)
    this.#inThought = endsInThought(setting.policy.tokenizer, setting.prompt)
    this.#controlTokensInText = setting.controlTokensInText
  }

  async play(): Promise<Rollout> {
    try {
      if (this.setting.forced) this.#give(this.setting.forced.tokens)
      for (;;) {
        const end = await this.#playTurn()
        if (end !== undefined) return this.#rollout(end)
      }
    } finally {
      this.#ended.abort()
    }
  }

  /** Why the rollout has ended; undefined while it goes on. */
  async #playTurn(): Promise<Rollout['end'] | undefined> {
    if (this.#aborted) return 'aborted'
    const turn = await this.#sampleTurn()
    if (turn.finishReason === 'aborted') return 'aborted'
    const before = [...this.setting.task.messages, ...this.#messages.slice(0, -1)]
    const records = await Promise.all(turn.calls.map((call) => this.#runCall(call, before)))
    this.#toolCalls.push(...records)
    if (this.#aborted) return 'aborted'
    if (turn.calls.length === 0) return turn.finishReason === 'length' ? 'tokens' : 'answer'
    if (this.#texts.length === this.setting.options.maxTurns) return 'turns'
    return this.#observe(records, turn.ended) ? undefined : 'tokens'
  }

  async #sampleTurn(): Promise<Turn> {
    const { policy, options } = this.setting
    const sample = await this.sequence.sample(this.#samplingOptions())
    this.#record.sampled(sample.tokens, sample.logprobs)
    const last = sample.tokens.at(-1)
    const ended = last !== undefined && endTokensOf(policy.template).includes(last)
    const written = ended ? sample.tokens.subarray(0, -1) : sample.tokens
    const text = this.#forcedText() + policy.tokenizer.decode(written, { continues: true })
    const calls = options.toolChoice === 'none' ? [] : formatOf(policy.template).parse(text, this.#inThought)
    this.#texts.push(splitThought(text, this.#inThought).said)
    this.#messages.push(this.#message(text, calls))
    return { text, calls, ended, finishReason: sample.finishReason }
  }

  /** The calls separate from the content if all could be read, else the text as it was written. */
  #message(text: string, calls: readonly ParsedToolCall[]): Message {
    const toolCalls = allRead(calls)
    if (!toolCalls) return { role: 'assistant', content: text }
    const content = formatOf(this.setting.policy.template).strip(text, this.#inThought)
    return { role: 'assistant', content, toolCalls }
  }

  #samplingOptions(): SamplingOptions {
    const { policy, tokenLimit, bannedToken, options } = this.setting
    const { temperature, topP, topK, minP, stop, maxTurnTokens = Number.POSITIVE_INFINITY } = options
    const { seed, signal } = this.identity
    return {
      maxTokens: Math.min(tokenLimit - this.#record.length, maxTurnTokens),
      stopTokens: [...endTokensOf(policy.template)],
      temperature,
      topP,
      topK,
      minP,
      seed,
      signal,
      ...(stop !== undefined && { stop }),
      ...(bannedToken !== undefined && { logitBias: new Map([[bannedToken, Number.NEGATIVE_INFINITY]]) }),
    }
  }

  /** The text that the current turn was forced to begin with. */
  #forcedText(): string {
    return this.#texts.length === 0 ? (this.setting.forced?.text ?? '') : ''
  }

  #runCall(call: ParsedToolCall, messages: readonly Message[]): Promise<ToolCallRecord> {
    const { tools, options } = this.setting
    const { toolTimeout, toolConcurrency, maxObservationCharacters } = options
    const { id, signal } = this.identity
    return runToolCall(call, {
      tools,
      toolTimeout,
      toolConcurrency,
      maxObservationCharacters,
      rolloutId: id,
      rolloutEnded: this.#ended.signal,
      messages,
      signal,
    })
  }

  /** False, with nothing appended, if the results leave no room for another turn. */
  #observe(records: readonly ToolCallRecord[], turnEnded: boolean): boolean {
    const messages = records.map(
      ({ name, observation }): Message => ({
        role: 'tool',
        content: observation,
        ...(name !== '' && { name }),
      }),
    )
    const { policy, task, tokenLimit } = this.setting
    const conversation = withCallIds([...task.messages, ...this.#messages, ...messages])
    const tokens = policy.template.observation(conversation.slice(-messages.length), turnEnded)
    if (this.#record.length + tokens.length >= tokenLimit) return false
    this.#controlTokensInText += policy.template.controlTokensInText?.(messages, []) ?? 0
    this.#messages.push(...messages)
    this.#inThought = endsInThought(policy.tokenizer, tokens)
    this.#give(tokens)
    return true
  }

  #give(tokens: readonly number[]): void {
    this.sequence.append(tokens)
    this.#record.given(tokens)
  }

  get #aborted(): boolean {
    return this.identity.signal.aborted
  }

  #rollout(end: Rollout['end']): Rollout {
    const { task } = this.setting
    return {
      id: this.identity.id,
      taskId: task.id,
      ...this.#record.toArrays(),
      messages: [...task.messages, ...this.#messages],
      toolCalls: this.#toolCalls,
      turns: this.#texts.length,
      end,
      finalAnswer: findAnswers(this.#texts.at(-1) ?? '').at(-1),
      wellFormed: isWellFormed(this.#texts),
      ...(this.#controlTokensInText > 0 && { controlTokensInText: this.#controlTokensInText }),
      ...(task.metadata && { metadata: task.metadata }),
    }
  }
}
