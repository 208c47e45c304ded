// One assistant turn sampled from a sequence, whole or in pieces for a client that reads as it is written. Draws depend on
// seed and place alone, so the pieces are the tokens that the whole would have been.

import { partialSuffix } from '../core/partial-suffix.js'
import type { Sample, SamplingOptions, Sequence, Tokenizer } from '../policy/types.js'

interface TurnOptions {
  sequence: Sequence
  tokenizer: Tokenizer
  /** Tokens that end the turn, and are none of its text. */
  endTokens: readonly number[]
  sampling: Omit<SamplingOptions, 'stop' | 'stopTokens' | 'maxTokens' | 'signal'> & { maxTokens: number }
  /** Text that ends the turn and is left out of its text, though not out of its tokens. */
  stop: readonly string[]
  /** Other tokens that end the turn, and stay in its text. */
  stopTokens: readonly number[]
  inPieces: boolean
  signal: AbortSignal
}

interface TurnPiece {
  text: string
  tokens: Int32Array
  logprobs: Float32Array
}

export interface SampledTurn {
  text: string
  tokens: Int32Array
  logprobs: Float32Array
  /** The policy wrote its end-of-turn token. */
  ended: boolean
  /** 'aborted': tokens are missing, nobody is waiting for the rest. */
  finish: 'stop' | 'length' | 'aborted'
}

/** Tokens of a piece after the first, which is one token so that a reader sees something at once. */
const pieceTokens = 4

export async function* sampleTurn(options: TurnOptions): AsyncGenerator<TurnPiece, SampledTurn, void> {
  const { sequence, sampling, stop, stopTokens, endTokens, inPieces, signal } = options
  const text = new TurnText(options)
  const pieces: Sample[] = []
  let count = 0
  for (;;) {
    // A stop text may begin in one piece and end in the next, which the engine cannot see: token by token, and looked
    // for in TurnText.
    const size = !inPieces ? sampling.maxTokens : count === 0 || stop.length > 0 ? 1 : pieceTokens
    const asked = Math.min(size, sampling.maxTokens - count)
    const sample = await sequence.sample({
      ...sampling,
      maxTokens: asked,
      stopTokens: [...endTokens, ...stopTokens],
      ...(!inPieces && stop.length > 0 && { stop: [...stop] }),
      signal,
    })
    pieces.push(sample)
    count += sample.tokens.length
    const last = sample.tokens.at(-1)
    const ended = last !== undefined && endTokens.includes(last)
    const added = text.add(ended ? sample.tokens.subarray(0, -1) : sample.tokens)
    const finish = finishOf(sample, asked, count >= sampling.maxTokens, text.stopped)
    const { tokens, logprobs } = sample
    yield { text: finish === undefined ? added : added + text.end(), tokens, logprobs }
    if (finish !== undefined) return { ...join(pieces), text: text.whole, ended, finish }
  }
}

/** Undefined where the turn goes on. */
function finishOf(
  { finishReason, tokens }: Sample,
  asked: number,
  full: boolean,
  stopped: boolean,
): SampledTurn['finish'] | undefined {
  if (finishReason === 'aborted') return 'aborted'
  if (stopped || finishReason !== 'length') return 'stop'
  // Fewer than asked for: the sequence is as long as the policy can have it.
  return full || tokens.length < asked ? 'length' : undefined
}

function join(samples: readonly Sample[]): { tokens: Int32Array; logprobs: Float32Array } {
  const [only] = samples
  if (only && samples.length === 1) return only
  return {
    tokens: Int32Array.from(samples.flatMap(({ tokens }) => Array.from(tokens))),
    logprobs: Float32Array.from(samples.flatMap(({ logprobs }) => Array.from(logprobs))),
  }
}

/** Decodes tokens as they come: characters whose bytes are not all there, and what may be a stop text, wait. */
class TurnText {
  /** Everything given out. */
  whole = ''
  stopped = false
  #undecoded: number[] = []
  #held = ''

  constructor(private readonly options: Pick<TurnOptions, 'tokenizer' | 'stop'>) {}

  add(tokens: Int32Array): string {
    this.#undecoded.push(...tokens)
    const text = this.options.tokenizer.decode(this.#undecoded, { continues: true })
    // U+FFFD at the end stands for bytes of a character that may go on; one that does not is given out by end().
    if (text.endsWith('\ufffd')) return ''
    this.#undecoded = []
    return this.#give(text)
  }

  end(): string {
    const rest = this.#give(this.options.tokenizer.decode(this.#undecoded, { continues: true }))
    this.#undecoded = []
    const held = this.stopped ? '' : this.#held
    this.#held = ''
    this.whole += held
    return rest + held
  }

  #give(text: string): string {
    const { stop } = this.options
    if (this.stopped) return ''
    const all = this.#held + text
    const found = stop.map((word) => all.indexOf(word)).filter((at) => at !== -1)
    this.stopped = found.length > 0
    const end = this.stopped ? Math.min(...found) : all.length - partialSuffix(all, stop)
    this.#held = this.stopped ? '' : all.slice(end)
    this.whole += all.slice(0, end)
    return all.slice(0, end)
  }
}
