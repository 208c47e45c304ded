// Prompts whose KV cache is kept: rollouts of one task begin alike, so the first computes the prompt and the others fork it. When
// weights change, the engine recomputes a cached prompt as needed, so no entry goes stale.
import { createHash } from 'node:crypto'
import type { RolloutPolicy, Sequence } from '../policy/types.js'

interface CachedPrompt {
  sequence: Sequence
  ready: Promise<void>
}

export class PromptCache {
  /** The least recently used prompt first. */
  readonly #prompts = new Map<string, CachedPrompt>()

  constructor(
    private readonly policy: RolloutPolicy,
    private readonly limit: number,
  ) {}

  /** A sequence that holds `prompt`; the caller releases it. */
  async fork(prompt: readonly number[]): Promise<Sequence> {
    const key = createHash('sha256').update(Int32Array.from(prompt)).digest('base64')
    const cached = this.#prompts.get(key) ?? this.#begin(prompt)
    this.#prompts.delete(key)
    this.#prompts.set(key, cached)
    this.#evict()
    try {
      await cached.ready
    } catch (error) {
      if (this.#prompts.get(key) === cached) this.#drop(key)
      throw error
    }
    // The entry was evicted while it was computed, which happens when more prompts than the limit come at once.
    return this.#prompts.get(key) === cached ? cached.sequence.fork() : this.policy.createSequence(prompt)
  }

  clear(): void {
    for (const key of [...this.#prompts.keys()]) this.#drop(key)
  }

  #begin(prompt: readonly number[]): CachedPrompt {
    const sequence = this.policy.createSequence(prompt)
    return { sequence, ready: sequence.prefill() }
  }

  #evict(): void {
    for (const key of this.#prompts.keys()) {
      if (this.#prompts.size <= this.limit) return
      this.#drop(key)
    }
  }

  #drop(key: string): void {
    const cached = this.#prompts.get(key)
    this.#prompts.delete(key)
    // Released only once it is computed: an earlier release would make the prefill reject for those who wait for it.
    cached?.ready.then(
      () => cached.sequence.release(),
      () => cached.sequence.release(),
    )
  }
}
