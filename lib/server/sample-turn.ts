// Samples one assistant turn from a sequence, at once or in pieces for a streaming client. Random draws depend only on seed and
// position, so both ways give the same tokens.

import { partialSuffix } from '../core/partial-suffix.js'
import type { Sample, SamplingOptions, Sequence, Tokenizer } from '../policy/types.js'

interface TurnOptions {
  sequence: Sequence
  tokenizer: Tokenizer
  /** Tokens that end the turn and do not appear in its text. */
  endTokens: readonly number[]
  sampling: Omit<SamplingOptions, 'stop' | 'stopTokens' | 'maxTokens' | 'signal'> & { maxTokens: number }
  /** Texts that end the turn; they are left out of its text, but not of its tokens. */
  stop: readonly string[]
  /** Other tokens that end the turn and stay in its text. */
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
  /** The last token is the policy's end-of-turn token. */
  ended: boolean
  /** 'aborted': tokens are missing, because nobody waits for the rest. */
  finish: 'stop' | 'length' | 'aborted'
}

/** Tokens per piece; the first piece is a single token, so that a reader sees something at once. */
const pieceTokens = 4

export async function* sampleTurn(options: TurnOptions): AsyncGenerator<TurnPiece, SampledTurn, void> {
  const { sequence, sampling, stop, stopTokens, endTokens, inPieces, signal } = options
  const text = new TurnText(options)
  const pieces: Sample[] = []
  let count = 0
  for (;;) {
    // A stop text may span two pieces, which the engine cannot see. Where there are stop texts, tokens are sampled one by one,
    // and TurnText looks for them.
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

/** Why the turn ended; undefined where it goes on. */
function finishOf(
  { finishReason, tokens }: Sample,
  asked: number,
  full: boolean,
  stopped: boolean,
): SampledTurn['finish'] | undefined {
  if (finishReason === 'aborted') return 'aborted'
  if (stopped || finishReason !== 'length') return 'stop'
  // Fewer tokens than asked for mean that the sequence has reached the policy's maximum length.
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

/** Decodes tokens as they come. Incomplete characters, and text that may be the beginning of a stop text, are held back. */
class TurnText {
  /** All text given out so far. */
  whole = ''
  stopped = false
  #undecoded: number[] = []
  #held = ''

  constructor(private readonly options: Pick<TurnOptions, 'tokenizer' | 'stop'>) {}

  add(tokens: Int32Array): string {
    this.#undecoded.push(...tokens)
    const text = this.options.tokenizer.decode(this.#undecoded, { continues: true })
    // U+FFFD at the end may be an incomplete character; if it stays incomplete, end() gives it out.
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
