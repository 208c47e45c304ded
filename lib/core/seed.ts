import { createHash } from 'node:crypto'

/**
 * A seed in [0, 2^53) for one purpose: the first 53 bits of SHA-256 over the JSON of [seed, ...purpose]. The
 * seed of a rollout is deriveSeed(deriveSeed(run seed, 'rollouts', step, place of the prompt), 'rollout',
 * index in the group): it depends on no generator's state, so rollouts may run in any order and a resumed run
 * draws what the unbroken one drew.
 */
export function deriveSeed(seed: number, ...purpose: (string | number)[]): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...purpose]))
    .digest()
  return Number(digest.readBigUInt64BE(0) >> 11n)
}
