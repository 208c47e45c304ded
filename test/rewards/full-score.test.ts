// A score that was added up of parts: all parts earned is the full score, but for rounding.
import { describe, expect, it } from 'vitest'
import { assignAdvantages } from '../../lib/hdpo/algorithms.js'
import { isCorrect, scoreRollouts } from '../../lib/rewards/rewards.js'
import type { Rollout, ScoredRollout } from '../../lib/rollout/types.js'

const rollout = { id: 't#0', taskId: 't', wellFormed: true, toolCalls: [], tokens: new Int32Array(0) }
const add = (parts: readonly number[]) => parts.reduce((sum, part) => sum + part, 0)

async function scored(score: number): Promise<ScoredRollout> {
  const task = { id: 't', messages: [], answer: '' }
  const [result] = await scoreRollouts([rollout as unknown as Rollout], task, { answer: () => score })
  return result as ScoredRollout
}

const wholes = [
  [0.6, 0.3, 0.1],
  [0.7, 0.2, 0.1],
  [0.4, 0.3, 0.2, 0.1],
  [0.1, 0.7, 0.2],
  [0.8, 0.1, 0.1],
  Array<number>(6).fill(1 / 6),
  Array<number>(1000).fill(0.001),
  [0.1, 0.1, 0.1, 0.7],
  [0.15, 0.35, 0.5, 1e-16],
  [1.1, -0.1],
]

describe('a score', () => {
  it.each(wholes.map((parts) => [add(parts), parts]))('of %d is full', async (sum, parts) => {
    const result = await scored(sum)
    expect(result.answerReward, parts.join(' + ')).toBe(1)
    expect(isCorrect(result)).toBe(true)
    expect(result.accuracyReward).toBe(1)
  })

  it('of almost everything is not, and nothing is nothing', async () => {
    for (const score of [0.999999, 0.99, 1 - 1e-8]) {
      const result = await scored(score)
      expect(result.answerReward).toBe(score)
      expect(isCorrect(result)).toBe(false)
    }
    expect((await scored(0.3 - 0.1 - 0.2)).answerReward).toBe(0)
    for (const score of [1.000001, -0.000001, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(scored(score)).rejects.toMatchObject({ code: 'ERR_REWARD' })
    }
  })

  it('that is full but for rounding takes part in the efficiency of a group', async () => {
    const of = (answerReward: number, calls: number) => ({
      answerReward,
      accuracyReward: answerReward,
      toolCalls: Array(calls).fill({}),
    })
    const advantages = async (full: number) => {
      const [group] = await assignAdvantages([[of(full, 0), of(full, 2), of(0, 1)]], { name: 'hdpo' })
      return (group ?? []).map(({ efficiencyAdvantage }) => efficiencyAdvantage)
    }
    expect(await advantages(0.6 + 0.3 + 0.1)).toEqual(await advantages(1))
    expect((await advantages(1))[0]).toBeGreaterThan(0)
  })
})
