// One request answered: its choices sampled side by side, each a turn of the rollout that the request belongs to.
import { randomBytes, randomInt } from 'node:crypto'
import { HdpoError } from '../errors.js'
import { endTokensOf } from '../policy/chat-template.js'
import type { Message, RolloutPolicy, ToolCall, ToolFormat } from '../policy/types.js'
import { deriveSeed } from '../rollout/seed.js'
import { callTag } from '../rollout/tool-call-parser.js'
import type { SamplingRecord } from '../rollout/types.js'
import { withStopSignal } from '../stop-signal.js'
import { ApiError } from './api-error.js'
import { assistantKey } from './chat-message.js'
import type { CompletionRequest, RequestedSampling } from './completion-request.js'
import type { PromptCache } from './prompt-cache.js'
import { ReplyParser, type ReplyPart } from './reply-parser.js'
import { RolloutHistory } from './rollout-history.js'
import { RolloutTurn } from './rollout-turn.js'
import { type SampledTurn, sampleTurn } from './sample-turn.js'
import type { ServedRollout } from './served-rollout.js'

export interface CompletionSettings {
  policy: RolloutPolicy
  prompts: PromptCache
  /** Of requests that say nothing. */
  sampling: RequestedSampling
  rollout: ServedRollout | undefined
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal
}

/** A call with the id that the client knows it by. */
export type SentCall = ToolCall & { id: string }

/** What a piece of a choice adds to it. */
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
  /** Of the prompt, those that continue what the policy has seen. */
  readonly cachedTokens: number
  readonly promptTokenIds: readonly number[] | undefined
  readonly #turns: RolloutTurn[] = []
  readonly #forcedText: string
  /** The choice of tools that holds, which is the rollout's where that is stricter. */
  readonly #request: CompletionRequest

  /** Throws ApiError where the request cannot be answered; from then on run() has to be called. */
  constructor(
    request: CompletionRequest,
    private readonly settings: CompletionSettings,
  ) {
    const { policy, rollout } = settings
    const callsOff = rollout?.definition.toolChoice === 'none'
    this.#request = callsOff ? { ...request, toolChoice: 'none' } : request
    this.#forcedText = forcedBeginning(this.#request, this.#format)
    this.#checkCallsCanBeOff()
    const forced = this.#forcedText === '' ? [] : policy.tokenizer.encode(this.#forcedText)
    try {
      for (let choice = 0; choice < request.choices; choice++) this.#turns.push(this.#startTurn(forced))
    } catch (error) {
      for (const turn of this.#turns) this.#discard(turn)
      throw error
    }
    const [first] = this.#turns as [RolloutTurn]
    this.promptTokens = first.promptTokens
    this.cachedTokens = first.continuedTokens
    this.promptTokenIds = request.returnTokenIds ? first.promptTokenIds() : undefined
  }

  /** Rejects, with no turn kept of those that had not ended, where one choice fails or the signal is aborted. */
  async run(emit: (piece: ChoicePiece) => void = () => {}): Promise<Choice[]> {
    const failed = new AbortController()
    const { rollout, signal } = this.settings
    return withStopSignal([signal, rollout?.signal, failed.signal], async (stop) => {
      const choices = this.#turns.map((turn, index) => this.#play(turn, index, stop, emit))
      const all = Promise.all(choices)
      all.catch((error: unknown) => failed.abort(error))
      await Promise.allSettled(choices)
      return all
    })
  }

  #startTurn(forced: readonly number[]): RolloutTurn {
    const { policy, prompts, rollout } = this.settings
    if (!rollout) {
      const plan = new RolloutHistory(policy, prompts).plan(this.#request)
      return this.#checkRoom(new RolloutTurn({ ...plan, given: [...plan.given, ...forced] }))
    }
    return this.#checkRoom(rollout.startTurn(this.#request, forced))
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
      const reply = new ReplyWriter(this.#request.toolChoice !== 'none', this.#format, index, emit)
      const sequence = await turn.open()
      signal.throwIfAborted()
      reply.add(this.#forcedText)
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
    const closing = parallelCalls ? undefined : policy.tokenizer.tokenId('</tool_call>')
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
  get #wishes(): RequestedSampling & { temperature: number } {
    const { rollout, sampling } = this.settings
    return { temperature: 1, ...sampling, ...this.#request.sampling, ...rollout?.definition.sampling }
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
    const callToken = toolChoice === 'none' ? policy.tokenizer.tokenId(callTag) : undefined
    const banned: [number, number][] = callToken === undefined ? [] : [[callToken, Number.NEGATIVE_INFINITY]]
    const bias = new Map([...(logitBias ?? []), ...banned])
    return {
      ...merged,
      // Draws follow from seed and place, so what branches from one place needs seeds of its own.
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
        text: this.#forcedText + sampled.text,
        finish: sampled.finish === 'length' ? 'length' : 'stop',
        toolNames: this.#request.toolChoice === 'none' ? [] : this.#request.tools.map(({ name }) => name),
        callIds: choice.calls.map(({ id }) => id),
        toolFormat: this.#format,
        sampling: this.#samplingRecord(),
      },
    )
  }

  #discard(turn: RolloutTurn): void {
    const { rollout } = this.settings
    if (rollout) rollout.discardTurn(turn)
    else turn.discard()
  }

  /** No token begins or ends a call in Llama 3's format alone, so that none can be banned or ended after. */
  #refuseChoiceOfLlama(): void {
    const { toolChoice, tools, parallelCalls } = this.#request
    if (toolChoice === 'none' && tools.length > 0) {
      throw new HdpoError(
        'ERR_TOOL_CHOICE',
        "tool_choice 'none' with tools needs a policy with <tool_call> calls: leave out tools",
      )
    }
    if (!parallelCalls) {
      throw new HdpoError(
        'ERR_TOOL_CHOICE',
        'parallel_tool_calls false needs a policy with <tool_call> calls',
      )
    }
  }

  get #format(): ToolFormat {
    return this.settings.policy.template.toolFormat ?? 'hermes'
  }

  #checkCallsCanBeOff(): void {
    const { toolChoice, tools, parallelCalls } = this.#request
    const { tokenizer } = this.settings.policy
    if (this.#format === 'llama3-json') {
      this.#refuseChoiceOfLlama()
      return
    }
    const needed = [
      ...(toolChoice === 'none' && tools.length > 0 ? ['<tool_call>'] : []),
      ...(parallelCalls ? [] : ['</tool_call>']),
    ]
    const missing = needed.find((token) => tokenizer.tokenId(token) === undefined)
    if (missing === undefined) return
    const param = parallelCalls ? "tool_choice 'none'" : 'parallel_tool_calls false'
    throw new HdpoError(
      'ERR_TOOL_CHOICE',
      `${param} needs ${missing} to be one token of the policy's vocabulary`,
    )
  }
}

/** Gathers what a choice says, and tells of each piece. */
class ReplyWriter {
  readonly #parser: ReplyParser
  #content = ''
  readonly #calls: SentCall[] = []

  constructor(
    readsCalls: boolean,
    format: ToolFormat,
    private readonly index: number,
    private readonly emit: (piece: ChoicePiece) => void,
  ) {
    this.#parser = new ReplyParser(readsCalls, format)
  }

  add(text: string, { tokens, logprobs }: Pick<ChoicePiece, 'tokens' | 'logprobs'> = noTokens): void {
    this.#tell(this.#parser.feed(text), { tokens, logprobs })
  }

  choice({ tokens, logprobs, finish }: SampledTurn): Choice {
    this.#tell(this.#parser.end(), noTokens)
    return {
      index: this.index,
      content: this.#content,
      calls: this.#calls,
      finishReason: finish === 'length' ? 'length' : this.#calls.length > 0 ? 'tool_calls' : 'stop',
      tokens,
      logprobs,
    }
  }

  #tell(parts: readonly ReplyPart[], tokens: Pick<ChoicePiece, 'tokens' | 'logprobs'>): void {
    const content = parts.map((part) => (part.kind === 'content' ? part.text : '')).join('')
    const calls = parts.flatMap((part) =>
      part.kind === 'call' ? [{ id: `call_${randomBytes(12).toString('base64url')}`, ...part.call }] : [],
    )
    this.#content += content
    this.#calls.push(...calls)
    if (content !== '' || calls.length > 0 || tokens.tokens.length > 0) {
      this.emit({ choice: this.index, content, calls, ...tokens })
    }
  }
}

const noTokens = { tokens: new Int32Array(0), logprobs: new Float32Array(0) }

/** What a reply must begin with for the tool choice to hold. */
function forcedBeginning({ toolChoice }: CompletionRequest, format: ToolFormat): string {
  if (format === 'llama3-json') {
    if (toolChoice === 'required') return '{"name": "'
    return typeof toolChoice === 'string' ? '' : `{"name": ${JSON.stringify(toolChoice.name)}, "parameters": `
  }
  if (toolChoice === 'required') return callTag
  if (typeof toolChoice === 'string') return ''
  return `${callTag}{"name": ${JSON.stringify(toolChoice.name)}, "arguments": `
}
