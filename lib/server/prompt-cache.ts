// Prompts that have been computed: the rollouts of one task begin alike, so the first computes the prompt and all fork it.
// When weights change, the engine recomputes what it needs of a cached prompt, so nothing here goes stale.
import { createHash } from 'node:crypto'
import type { RolloutPolicy, Sequence } from '../policy/types.js'

interface CachedPrompt {
  sequence: Sequence
  ready: Promise<void>
}

export class PromptCache {
  /** Least recently used first. */
  readonly #prompts = new Map<string, CachedPrompt>()

  constructor(
    private readonly policy: RolloutPolicy,
    private readonly limit: number,
  ) {}

  /** A sequence of its own that holds `prompt`; the caller releases it. */
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
    // Evicted while it was computed, where more prompts than the limit come at once.
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
    // Releasing it while it is computed would make the prefill reject for those who wait for it.
    cached?.ready.then(
      () => cached.sequence.release(),
      () => cached.sequence.release(),
    )
  }
}
