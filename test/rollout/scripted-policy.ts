// A policy that says what a script says. Characters are tokens; control tokens are one token each, above all
// characters.
import type {
  ChatTemplate,
  Message,
  RolloutPolicy,
  Sample,
  SamplingOptions,
  Sequence,
  Tokenizer,
} from '../../lib/policy/types.js'

const controlTokens = ['<|end|>', '<tool_call>', '</tool_call>', '[TOOL_CALLS]']
const firstControlToken = 0x110000
export const endOfTurn = firstControlToken
export const callToken = firstControlToken + 1

export const tokenizer: Tokenizer = {
  vocabSize: firstControlToken + controlTokens.length,
  encode: (text) =>
    text
      .split(/(<\|end\|>|<\/?tool_call>|\[TOOL_CALLS\])/)
      .flatMap(
        (piece) =>
          tokenizer.tokenId(piece) ?? Array.from(piece, (character) => character.codePointAt(0) as number),
      ),
  decode: (tokens) =>
    Array.from(
      tokens,
      (token) => controlTokens[token - firstControlToken] ?? String.fromCodePoint(token),
    ).join(''),
  tokenId: (token) =>
    controlTokens.includes(token) ? firstControlToken + controlTokens.indexOf(token) : undefined,
  tokenBytes: () => {
    throw new Error('rollouts have no use for tokenBytes')
  },
}

const write = (messages: Message[]) => messages.map(({ role, content }) => `${role}: ${content}\n`).join('')

export const template: ChatTemplate = {
  endOfTurn,
  prompt: (messages, tools) =>
    tokenizer.encode(`tools: ${tools.map(({ name }) => name).join(' ')}\n${write(messages)}assistant: `),
  observation: (messages, turnEnded) => [
    ...(turnEnded ? [] : [endOfTurn]),
    ...tokenizer.encode(`\n${write(messages)}assistant: `),
  ],
  supervised: () => {
    throw new Error('rollouts have no use for supervised')
  },
}

/**
 * What the policy says next, with '<|end|>' if it ends its turn; `conversation` is the whole text so far.
 */
export type Script = (
  conversation: string,
  options: SamplingOptions,
  sequence: number,
) => string | Promise<string>

export class ScriptedPolicy implements RolloutPolicy {
  tokenizer = tokenizer
  template = template
  maxTokens = 4096
  readonly sequences: ScriptedSequence[] = []
  readonly samplings: SamplingOptions[] = []

  constructor(readonly script: Script) {}

  createSequence(tokens: ArrayLike<number>): ScriptedSequence {
    return this.add(Array.from(tokens))
  }

  add(tokens: number[]): ScriptedSequence {
    const sequence = new ScriptedSequence(this, tokens, this.sequences.length)
    this.sequences.push(sequence)
    return sequence
  }
}

/** A policy that says these turns of one rollout, one after the other. */
export function turns(...texts: string[]): ScriptedPolicy {
  const said = new Map<number, number>()
  return new ScriptedPolicy((_conversation, _options, sequence) => {
    const turn = said.get(sequence) ?? 0
    said.set(sequence, turn + 1)
    const text = texts[turn]
    if (text === undefined) throw new Error(`the script has no turn ${turn}`)
    return text
  })
}

/** The logprob of the token at `place` of a sequence: exact in float32, and different for neighbours. */
export const logprobAt = (place: number) => -((place % 64) + 1) / 64

export class ScriptedSequence implements Sequence {
  prefills = 0
  released = false

  constructor(
    private readonly policy: ScriptedPolicy,
    readonly tokens: number[],
    private readonly number: number,
  ) {}

  fork(): Sequence {
    this.#check()
    return this.policy.add([...this.tokens])
  }

  append(tokens: ArrayLike<number>): void {
    this.#check()
    this.tokens.push(...Array.from(tokens))
  }

  async prefill(): Promise<void> {
    this.#check()
    this.prefills++
  }

  async sample(options: SamplingOptions): Promise<Sample> {
    this.#check()
    this.policy.samplings.push(options)
    const script = this.policy.script(tokenizer.decode(this.tokens), options, this.number)
    const said = await Promise.race([script, aborted(options.signal)])
    if (said === undefined)
      return { tokens: new Int32Array(0), logprobs: new Float32Array(0), finishReason: 'aborted' }
    const { tokens, finishReason } = this.#cut(tokenizer.encode(said), options)
    const start = this.tokens.length
    this.append(tokens)
    return {
      tokens: Int32Array.from(tokens),
      logprobs: Float32Array.from(tokens, (_, index) => logprobAt(start + index)),
      finishReason,
    }
  }

  release(): void {
    this.released = true
  }

  /**
   * Ends the text as an engine would: at a stop token, a stop string, or the length; a script that reaches none of
   * them is wrong.
   */
  #cut(
    tokens: number[],
    options: SamplingOptions,
  ): { tokens: number[]; finishReason: Sample['finishReason'] } {
    const { maxTokens = Number.POSITIVE_INFINITY, stopTokens = [], stop = [], logitBias } = options
    for (let count = 1; count <= Math.min(tokens.length, maxTokens); count++) {
      const kept = tokens.slice(0, count)
      const last = kept.at(-1) as number
      if (logitBias?.get(last) === Number.NEGATIVE_INFINITY)
        throw new Error(`the script says banned token ${last}`)
      if (stopTokens.includes(last)) return { tokens: kept, finishReason: 'stop-token' }
      if (stop.some((text) => tokenizer.decode(kept).endsWith(text)))
        return { tokens: kept, finishReason: 'stop-string' }
      if (count === maxTokens) return { tokens: kept, finishReason: 'length' }
    }
    throw new Error(`the script does not end its turn: ${tokenizer.decode(tokens)}`)
  }

  #check(): void {
    if (this.released) throw new Error('this sequence has been released')
  }
}

function aborted(signal: AbortSignal | undefined): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve(undefined)
    signal?.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}
