// Random numbers that depend only on a seed and a purpose: drawing more for one purpose changes nothing for another.

import { HdpoError } from './errors.js'

export class Random {
  #counter: number

  constructor(seed: number, purpose: string) {
    let state = mix((seed >>> 0) ^ mix(Math.floor(seed / 2 ** 32) >>> 0))
    for (let i = 0; i < purpose.length; i++) state = mix(state ^ purpose.charCodeAt(i))
    this.#counter = state
  }

  /** Uniform in [0, 1): splitmix32 over a counter. */
  next(): number {
    this.#counter = (this.#counter + 0x9e3779b9) >>> 0
    return mix(this.#counter) / 2 ** 32
  }

  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new HdpoError('ERR_INTERNAL', 'there is nothing to pick from')
    return items[this.integer(0, items.length - 1)] as Item
  }

  /** A shuffled copy (Fisher-Yates). */
  shuffle<Item>(items: readonly Item[]): Item[] {
    const order = [...items]
    for (let last = order.length - 1; last > 0; last--) {
      const other = this.integer(0, last)
      const kept = order[last] as Item
      order[last] = order[other] as Item
      order[other] = kept
    }
    return order
  }
}

function mix(value: number): number {
  let bits = value >>> 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad)
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97)
  return (bits ^ (bits >>> 15)) >>> 0
}
