// A scripted policy that can be sampled in pieces, as a server's streams are. The script returns a whole turn, given the text
// of the conversation so far; pieces of it are handed out on request.
import type { RolloutPolicy, Sample, SamplingOptions, Sequence } from '../../lib/policy/types.js'
import { logprobAt, template, tokenizer } from '../rollout/scripted-policy.js'

export { callToken, endOfTurn, template, tokenizer } from '../rollout/scripted-policy.js'

export type Script = (conversation: string, options: SamplingOptions) => string | Promise<string>

export class ServedPolicy implements RolloutPolicy {
  tokenizer = tokenizer
  template = template
  maxTokens = 4096
  /** Lengths of the sequences that were made from tokens, not forked. */
  readonly created: number[] = []
  readonly samplings: SamplingOptions[] = []
  live = 0

  constructor(readonly script: Script) {}

  createSequence(tokens: ArrayLike<number>): Sequence {
    this.created.push(tokens.length)
    return new ServedSequence(this, Array.from(tokens))
  }
}

class ServedSequence implements Sequence {
  #said: number[] = []
  #released = false

  constructor(
    private readonly policy: ServedPolicy,
    private readonly tokens: number[],
  ) {
    policy.live++
  }

  fork(): Sequence {
    this.#check()
    return new ServedSequence(this.policy, [...this.tokens])
  }

  append(tokens: ArrayLike<number>): void {
    this.#check()
    this.#said = []
    this.tokens.push(...Array.from(tokens))
  }

  async prefill(): Promise<void> {
    this.#check()
  }

  async sample(options: SamplingOptions): Promise<Sample> {
    this.#check()
    this.policy.samplings.push(options)
    if (this.#said.length === 0) {
      const script = Promise.resolve(this.policy.script(tokenizer.decode(this.tokens), options))
      const said = await Promise.race([script, aborted(options.signal)])
      if (said === undefined) return sampleOf([], 0, 'aborted')
      this.#said = tokenizer.encode(said)
    }
    if (options.signal?.aborted) return sampleOf([], 0, 'aborted')
    return this.#next(options)
  }

  release(): void {
    if (!this.#released) this.policy.live--
    this.#released = true
  }

  #next({
    maxTokens = Number.POSITIVE_INFINITY,
    stopTokens = [],
    stop = [],
    logitBias,
  }: SamplingOptions): Sample {
    const start = this.tokens.length
    const taken: number[] = []
    let finishReason: Sample['finishReason'] = 'length'
    while (taken.length < maxTokens) {
      const token = this.#said.shift()
      if (token === undefined) throw new Error('the script does not end its turn')
      if (logitBias?.get(token) === Number.NEGATIVE_INFINITY)
        throw new Error(`the script says banned token ${token}`)
      taken.push(token)
      if (stopTokens.includes(token)) finishReason = 'stop-token'
      else if (stop.some((text) => tokenizer.decode(taken).includes(text))) finishReason = 'stop-string'
      else continue
      break
    }
    this.tokens.push(...taken)
    return sampleOf(taken, start, finishReason)
  }

  #check(): void {
    if (this.#released) throw new Error('this sequence has been released')
  }
}

function sampleOf(tokens: number[], start: number, finishReason: Sample['finishReason']): Sample {
  return {
    tokens: Int32Array.from(tokens),
    logprobs: Float32Array.from(tokens, (_, index) => logprobAt(start + index)),
    finishReason,
  }
}

function aborted(signal: AbortSignal | undefined): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve(undefined)
    signal?.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}
