// The tokens of a rollout from prompt to end. Each has a mask, which says whether the policy sampled it, and its
// logprob from sampling.
import { HdpoError } from '../core/errors.js'
import type { Rollout } from './types.js'

export class TokenRecord {
  readonly #tokens: number[]
  readonly #mask: number[]
  readonly #logprobs: number[]
  readonly promptTokens: number

  constructor(prompt: ArrayLike<number>) {
    this.promptTokens = prompt.length
    this.#tokens = Array.from(prompt)
    this.#mask = this.#tokens.map(() => 0)
    this.#logprobs = this.#tokens.map(() => 0)
  }

  get length(): number {
    return this.#tokens.length
  }

  /** The last `count` tokens, or all where there are fewer. */
  last(count: number): number[] {
    return this.#tokens.slice(-count)
  }

  sampled(tokens: Int32Array, logprobs: Float32Array): void {
    if (tokens.length !== logprobs.length) {
      throw new HdpoError(
        'ERR_INTERNAL',
        `a sample of ${tokens.length} tokens came with ${logprobs.length} logprobs`,
      )
    }
    for (const [index, token] of tokens.entries()) this.#push(token, 1, logprobs[index] as number)
  }

  /** Appends tokens that the policy did not sample. */
  given(tokens: readonly number[]): void {
    for (const token of tokens) this.#push(token, 0, 0)
  }

  toArrays(): Pick<Rollout, 'tokens' | 'mask' | 'logprobs' | 'promptTokens'> {
    return {
      tokens: Int32Array.from(this.#tokens),
      mask: Uint8Array.from(this.#mask),
      logprobs: Float32Array.from(this.#logprobs),
      promptTokens: this.promptTokens,
    }
  }

  #push(token: number, mask: number, logprob: number): void {
    this.#tokens.push(token)
    this.#mask.push(mask)
    this.#logprobs.push(logprob)
  }
}
