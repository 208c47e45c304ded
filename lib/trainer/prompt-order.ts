// Which examples a step trains on: an endless walk through shuffled epochs, addressed by position, so that
// any step can be looked up without the steps before it.

import { HdpoError } from '../core/errors.js'
import { permutation } from '../core/permutation.js'
import { deriveSeed } from '../core/seed.js'

export class PromptOrder {
  #epoch = -1
  #order: number[] = []

  constructor(
    private readonly examples: number,
    private readonly seed: number,
  ) {
    if (!Number.isInteger(examples) || examples < 1) {
      throw new HdpoError('ERR_INTERNAL', `an order of ${examples} examples`)
    }
  }

  /**
   * Indices of the examples that `step` (from 1) trains on. One may come twice when a step crosses into the
   * next epoch.
   */
  batch(step: number, size: number): number[] {
    const start = (step - 1) * size
    return Array.from({ length: size }, (_, offset) => this.at(start + offset))
  }

  /** Epoch (counted from 0) of the last example of `step`. */
  epoch(step: number, size: number): number {
    return Math.floor((step * size - 1) / this.examples)
  }

  at(position: number): number {
    const epoch = Math.floor(position / this.examples)
    if (epoch !== this.#epoch) {
      this.#order = permutation(this.examples, deriveSeed(this.seed, 'epoch', epoch))
      this.#epoch = epoch
    }
    return this.#order[position % this.examples] as number
  }
}
