import { Random } from './random.js'

/** The numbers 0 to count - 1 in a random order that depends only on `seed`. */
export function permutation(count: number, seed: number): number[] {
  return new Random(seed, 'permutation').shuffle(Array.from({ length: count }, (_, index) => index))
}
