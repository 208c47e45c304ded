// Answers one request: its choices are sampled side by side, each as a turn of the rollout that the request belongs to.
import { randomBytes, randomInt } from 'node:crypto'
import { allOrNone } from '../core/all-or-none.js'
import { HdpoError } from '../core/errors.js'
import { deriveSeed } from '../core/seed.js'
import { ApiError } from '../http/api-error.js'
import type { CallFormat } from '../policy/calls/call-format.js'
import { callId } from '../policy/calls/call-ids.js'
import {
  type CallStream,
  callsIn,
  contentOf,
  contentStream,
  type ReplyPart,
} from '../policy/calls/call-stream.js'
import { formatOf } from '../policy/calls/formats.js'
import { endTokensOf } from '../policy/chat-template.js'
import type { Message, RolloutPolicy, ToolCall } from '../policy/types.js'
import type { SamplingRecord } from '../rollout/types.js'
import { withoutSpaceAfterThought } from './after-thought.js'
import { assistantKey } from './chat-message.js'
import type { CompletionRequest } from './completion-request.js'
import type { PromptCache } from './prompt-cache.js'
import { RolloutHistory } from './rollout-history.js'
import { RolloutTurn } from './rollout-turn.js'
import { type SampledTurn, sampleTurn } from './sample-turn.js'
import type { ServedRollout } from './served-rollout.js'
import type { ServerSampling } from './server-options.js'

interface CompletionSettings {
  policy: RolloutPolicy
  prompts: PromptCache
  /** What holds where a request says nothing. */
  sampling: ServerSampling
  rollout: ServedRollout | undefined
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal
}

/** A call, with the id by which the client knows it. */
export type SentCall = ToolCall & { id: string }

/** The part of a choice that a piece adds. */
export interface ChoicePiece {
  choice: number
  content: string
  calls: SentCall[]
  tokens: Int32Array
  logprobs: Float32Array
}

export interface Choice {
  index: number
  content: string
  calls: SentCall[]
  finishReason: 'stop' | 'length' | 'tool_calls'
  tokens: Int32Array
  logprobs: Float32Array
}

export class Completion {
  readonly promptTokens: number
  /** How many tokens of the prompt continue an earlier sequence. */
  readonly cachedTokens: number
  /** Thoughts of the request's messages that the chat template has no form for. */
  readonly droppedThoughts: number
  readonly promptTokenIds: readonly number[] | undefined
  readonly #turns: RolloutTurn[] = []
  /** The request with the tool choice that applies: the rollout's where that is stricter. */
  readonly #request: CompletionRequest

  /** Throws ApiError where the request cannot be answered. Once constructed, run() has to be called. */
  constructor(
    request: CompletionRequest,
    private readonly settings: CompletionSettings,
  ) {
    const { rollout } = settings
    const callsOff = rollout?.definition.toolChoice === 'none'
    this.#request = callsOff ? { ...request, toolChoice: 'none' } : request
    this.#checkCallsCanBeOff()
    try {
      for (let choice = 0; choice < request.choices; choice++) this.#turns.push(this.#startTurn())
    } catch (error) {
      for (const turn of this.#turns) this.#discard(turn)
      throw error
    }
    const [first] = this.#turns as [RolloutTurn]
    this.promptTokens = first.promptTokens
    this.droppedThoughts = first.droppedThoughts
    this.cachedTokens = first.continuedTokens
    this.promptTokenIds = request.returnTokenIds ? first.promptTokenIds() : undefined
  }

  /** Samples all choices. Where one fails or the signal is aborted it rejects, and turns that had not ended are discarded. */
  run(emit: (piece: ChoicePiece) => void = () => {}): Promise<Choice[]> {
    const { rollout, signal } = this.settings
    return allOrNone(this.#turns.length, [signal, rollout?.signal], (index, stop) =>
      this.#play(this.#turns[index] as RolloutTurn, index, stop, emit),
    )
  }

  #startTurn(): RolloutTurn {
    const { policy, prompts, rollout } = this.settings
    const forced = (inThought: boolean) => forcedBeginning(this.#request, this.#format, inThought)
    if (rollout) return this.#checkRoom(rollout.startTurn(this.#request, forced))
    const plan = new RolloutHistory(policy, prompts).plan(this.#request)
    return this.#checkRoom(new RolloutTurn(plan, forced))
  }

  #checkRoom(turn: RolloutTurn): RolloutTurn {
    if (turn.room >= 1) return turn
    const { promptTokens, segment } = turn
    this.#discard(turn)
    throw new ApiError(
      400,
      `the messages are ${promptTokens} tokens, which leaves no room for a reply: a sequence has at most ` +
        `${segment.tokenLimit} tokens here`,
      { param: 'messages', code: 'context_length_exceeded' },
    )
  }

  async #play(
    turn: RolloutTurn,
    index: number,
    signal: AbortSignal,
    emit: (piece: ChoicePiece) => void,
  ): Promise<Choice> {
    let committed = false
    try {
      const parts =
        this.#request.toolChoice === 'none' ? contentStream() : this.#format.stream(turn.inThought)
      const reply = new ReplyWriter(withoutSpaceAfterThought(parts, turn.inThought), {
        index,
        emit,
        idOf: this.#callIds(turn, index),
      })
      const sequence = await turn.open()
      signal.throwIfAborted()
      reply.add(turn.forcedText)
      const sampled = await this.#sample(turn, index, sequence, signal, reply)
      if (sampled.finish === 'aborted') throw signal.reason
      const choice = reply.choice(sampled)
      this.#commit(turn, sampled, choice)
      committed = true
      return choice
    } finally {
      if (!committed) this.#discard(turn)
    }
  }

  async #sample(
    turn: RolloutTurn,
    index: number,
    sequence: Parameters<typeof sampleTurn>[0]['sequence'],
    signal: AbortSignal,
    reply: ReplyWriter,
  ): Promise<SampledTurn> {
    const { policy } = this.settings
    const { stop, stream, parallelCalls } = this.#request
    const ending = parallelCalls ? undefined : this.#format.closing
    const closing = ending === undefined ? undefined : policy.tokenizer.tokenId(ending)
    const pieces = sampleTurn({
      sequence,
      tokenizer: policy.tokenizer,
      endTokens: endTokensOf(policy.template),
      sampling: this.#sampling(turn, index),
      stop,
      stopTokens: closing === undefined ? [] : [closing],
      inPieces: stream,
      signal,
    })
    for (;;) {
      const step = await pieces.next()
      if (step.done) return step.value
      reply.add(step.value.text, step.value)
    }
  }

  /** The server's defaults, the request's wishes, what the rollout fixes: later ones win. */
  get #wishes(): ServerSampling {
    const { rollout, sampling } = this.settings
    return { ...sampling, ...this.#request.sampling, ...rollout?.definition.sampling }
  }

  #samplingRecord(): SamplingRecord {
    const { temperature, topP, topK, minP } = this.#wishes
    return {
      temperature,
      ...(topP !== undefined && { topP }),
      ...(topK !== undefined && { topK }),
      ...(minP !== undefined && { minP }),
    }
  }

  #sampling(turn: RolloutTurn, index: number) {
    const { policy, rollout } = this.settings
    const { toolChoice } = this.#request
    const { maxTurnTokens = Number.POSITIVE_INFINITY } = rollout?.definition ?? {}
    const { maxTokens = Number.POSITIVE_INFINITY, logitBias, ...merged } = this.#wishes
    const seed = merged.seed ?? randomInt(2 ** 48 - 1)
    const callToken = toolChoice === 'none' ? policy.tokenizer.tokenId(this.#format.opening) : undefined
    const banned: [number, number][] = callToken === undefined ? [] : [[callToken, Number.NEGATIVE_INFINITY]]
    const bias = new Map([...(logitBias ?? []), ...banned])
    return {
      ...merged,
      // Draws depend on seed and position, so sequences that branch from one position need different seeds.
      seed:
        turn.segment.split === undefined && index === 0 ? seed : deriveSeed(seed, turn.segment.number, index),
      maxTokens: Math.min(maxTokens, maxTurnTokens, turn.room),
      ...(bias.size > 0 && { logitBias: bias }),
    }
  }

  #commit(turn: RolloutTurn, sampled: SampledTurn, choice: Choice): void {
    const { rollout } = this.settings
    const toolCalls = choice.calls.map(({ name, arguments: input }): ToolCall => ({ name, arguments: input }))
    const message: Message = {
      role: 'assistant',
      content: choice.content,
      ...(toolCalls.length > 0 && { toolCalls }),
    }
    if (!rollout) {
      turn.discard()
      return
    }
    rollout.commitTurn(
      turn,
      sampled,
      { message, key: assistantKey(choice.content, toolCalls) },
      {
        text: turn.forcedText + sampled.text,
        finish: sampled.finish === 'length' ? 'length' : 'stop',
        toolNames: this.#request.toolChoice === 'none' ? [] : this.#request.tools.map(({ name }) => name),
        callIds: choice.calls.map(({ id }) => id),
        format: this.#format,
        inThought: turn.inThought,
        sampling: this.#samplingRecord(),
      },
    )
  }

  #discard(turn: RolloutTurn): void {
    const { rollout } = this.settings
    if (rollout) rollout.discardTurn(turn)
    else turn.discard()
  }

  get #format(): CallFormat {
    return formatOf(this.settings.policy.template)
  }

  /**
   * Some templates write the ids of calls into the sequence that the policy reads and is trained on. There an id is derived from
   * the position of the turn, so that it is reproducible; elsewhere it is random.
   */
  #callIds(
    { segment, promptTokens }: RolloutTurn,
    choice: number,
  ): (call: ToolCall, place: number) => string {
    if (!this.#format.namesCalls) return () => `call_${randomBytes(12).toString('base64url')}`
    const turn = `turn ${segment.number} ${promptTokens} ${choice}`
    return (call, place) => callId(call.id ?? `${turn} ${place}`, place)
  }

  #checkCallsCanBeOff(): void {
    const { toolChoice, tools, parallelCalls } = this.#request
    const { name, beginsAll, opening, closing } = this.#format
    if (toolChoice === 'none' && tools.length > 0) {
      if (!beginsAll) {
        throw new HdpoError(
          'ERR_TOOL_CHOICE',
          `tool_choice 'none' with tools needs a policy whose calls begin with a token of their own, which they do not in ` +
            `${name} format: leave out tools`,
        )
      }
      this.#requireToken(opening, "tool_choice 'none'")
    }
    if (parallelCalls) return
    if (closing === undefined) {
      throw new HdpoError(
        'ERR_TOOL_CHOICE',
        `parallel_tool_calls false needs a policy whose calls end with a token of their own, which they do not in ${name} format`,
      )
    }
    this.#requireToken(closing, 'parallel_tool_calls false')
  }

  #requireToken(text: string, param: string): void {
    if (this.settings.policy.tokenizer.tokenId(text) !== undefined) return
    throw new HdpoError(
      'ERR_TOOL_CHOICE',
      `${param} needs ${text} to be one token of the policy's vocabulary`,
    )
  }
}

interface ChoiceSettings {
  index: number
  emit: (piece: ChoicePiece) => void
  /** The id of a call, by its `place` in the choice; the call's result will refer to it. */
  idOf: (call: ToolCall, place: number) => string
}

/** Collects the text and calls of a choice, and emits each piece. */
class ReplyWriter {
  #content = ''
  readonly #calls: SentCall[] = []

  constructor(
    private readonly parts: CallStream,
    private readonly settings: ChoiceSettings,
  ) {}

  add(text: string, { tokens, logprobs }: Pick<ChoicePiece, 'tokens' | 'logprobs'> = noTokens): void {
    this.#tell(this.parts.feed(text), { tokens, logprobs })
  }

  choice({ tokens, logprobs, finish }: SampledTurn): Choice {
    this.#tell(this.parts.end(), noTokens)
    return {
      index: this.settings.index,
      content: this.#content,
      calls: this.#calls,
      finishReason: finish === 'length' ? 'length' : this.#calls.length > 0 ? 'tool_calls' : 'stop',
      tokens,
      logprobs,
    }
  }

  #tell(parts: readonly ReplyPart[], tokens: Pick<ChoicePiece, 'tokens' | 'logprobs'>): void {
    const { index, emit, idOf } = this.settings
    const content = contentOf(parts)
    const calls = callsIn(parts).map(
      (call, place): SentCall => ({ ...call, id: idOf(call, this.#calls.length + place) }),
    )
    this.#content += content
    this.#calls.push(...calls)
    if (content !== '' || calls.length > 0 || tokens.tokens.length > 0) {
      emit({ choice: index, content, calls, ...tokens })
    }
  }
}

const noTokens = { tokens: new Int32Array(0), logprobs: new Float32Array(0) }

/** What a reply must begin with to satisfy the tool choice: a call, which must not be inside a thought. */
function forcedBeginning(
  { toolChoice }: CompletionRequest,
  { forced }: CallFormat,
  inThought: boolean,
): string {
  if (toolChoice === 'auto' || toolChoice === 'none') return ''
  return toolChoice === 'required' ? forced(inThought) : forced(inThought, toolChoice.name)
}
