import type { TokenSequence } from './types.js'

/** All token sequences of a rollout; most have one. */
export function tokenSequences(
  rollout: TokenSequence & { moreSequences?: TokenSequence[] },
): TokenSequence[] {
  return [rollout, ...(rollout.moreSequences ?? [])]
}
