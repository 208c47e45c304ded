import { describe, expect, it } from 'vitest'
import { noisyAnswer, ungraded } from '../../lib/rewards/rewards.js'
import type { Rollout, Task } from '../../lib/rollout/types.js'
import { refuses } from '../core/wrong-options.js'

const task: Task = { id: 't', messages: [], answer: 1 }
const rollout = (index: number, step = 0) =>
  ({
    id: `t#${index}`,
    taskId: 't',
    finalAnswer: index % 2 === 0 ? 'right' : 'wrong',
    tokens: Int32Array.of(1, 2, 3),
    logprobs: Float32Array.of(0, -0.1 * step, -0.2),
  }) as Rollout
const exact = ({ finalAnswer }: Rollout) => finalAnswer === 'right'

async function scores(probability: number, seed = 0, step = 0, count = 2000) {
  const noisy = noisyAnswer(exact, { probability, seed })
  return Promise.all(Array.from({ length: count }, (_, index) => noisy(rollout(index, step), task)))
}

describe('noisyAnswer', () => {
  it('turns the wanted share of verdicts round, right and wrong ones alike', async () => {
    const graded = await scores(0.2)
    const wrong = (parity: number) =>
      graded.filter((score, index) => index % 2 === parity && Number(score) !== 1 - parity).length / 1000
    // Three standard errors of 1,000 draws.
    expect(Math.abs(wrong(0) - 0.2)).toBeLessThan(0.038)
    expect(Math.abs(wrong(1) - 0.2)).toBeLessThan(0.038)
  })

  it('repeats its errors for the same rollout and seed, and makes others for other steps and seeds', async () => {
    const once = await scores(0.5, 1, 1, 100)
    expect(await scores(0.5, 1, 1, 100)).toEqual(once)
    expect(await scores(0.5, 1, 2, 100)).not.toEqual(once)
    expect(await scores(0.5, 2, 1, 100)).not.toEqual(once)
  })

  it('turns partial scores round, leaves ungraded ones alone, and is the reward itself without noise', async () => {
    const always = (score: number) => noisyAnswer(() => score, { probability: 1 })
    expect(await always(0.25)(rollout(0), task)).toBe(0.75)
    const reason = ungraded('judge is down')
    expect(await noisyAnswer(() => reason, { probability: 1 })(rollout(0), task)).toBe(reason)
    expect(noisyAnswer(exact, { probability: 0 })).toBe(exact)
  })

  refuses(
    (options) => noisyAnswer(exact, options),
    [
      [{ probability: 1.5 }, 'noisyAnswer.probability: must be 0 to 1, got 1.5'],
      [{ probability: 0, seed: -1 }, 'noisyAnswer.seed: must be a whole number of at least 0, got -1'],
    ],
  )
})
