// A grader that makes errors on purpose, to measure a method where accuracy varies within groups for reasons other than calls.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { seed, share } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { Rollout } from '../rollout/types.js'
import { answerIdentity, identified } from './reward-identity.js'
import type { AnswerReward } from './types.js'

export const answerNoiseShape = {
  /** Share of rollouts whose score is flipped: 1 becomes 0, 0 becomes 1. 0 to 1. */
  probability: share,
  /** Decides which rollouts are graded wrongly. Default 0. */
  seed: seed.default(0),
}
const answerNoiseOptions = z.strictObject(answerNoiseShape)
export interface AnswerNoiseOptions extends OptionsOf<typeof answerNoiseShape> {}

/**
 * `answer` with errors. Whether a rollout is graded wrongly depends only on the seed and the rollout (its place in the group and
 * its tokens), so that a resumed run repeats the errors and no two steps share them.
 */
export function noisyAnswer(answer: AnswerReward, options: AnswerNoiseOptions): AnswerReward {
  const { probability, seed } = readOptions(answerNoiseOptions, options, 'noisyAnswer')
  if (probability === 0) return answer
  const noisy: AnswerReward = async (rollout, task) => {
    const score = await answer(rollout, task)
    if (typeof score === 'object' || uniform(rollout, seed) >= probability) return score
    return 1 - Number(score)
  }
  identified(
    'noisy-answer',
    { answer: answerIdentity(answer), probability, seed },
    noisy,
    answer.check?.bind(answer),
  )
  return answer.report ? Object.assign(noisy, { report: answer.report.bind(answer) }) : noisy
}

/** A number in [0, 1). The logprobs tell apart rollouts of different steps that sampled the same tokens. */
function uniform({ id, tokens, logprobs }: Rollout, seed: number): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, id]))
    .update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength))
    .update(new Uint8Array(logprobs.buffer, logprobs.byteOffset, logprobs.byteLength))
    .digest()
  return digest.readUInt32BE(0) / 2 ** 32
}
