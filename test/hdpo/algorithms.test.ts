import { describe, expect, it } from 'vitest'
import { assignAdvantages, lossWeights } from '../../lib/hdpo/algorithms.js'
import { type AlgorithmOptions, algorithmNames } from '../../lib/hdpo/options.js'
import { refuses } from '../core/wrong-options.js'

const rollout = (id: string, answerReward: number, formatReward: number, calls: number) => ({
  id,
  answerReward,
  accuracyReward: 0.9 * answerReward + 0.1 * formatReward,
  toolCalls: new Array(calls).fill({}),
})

const groups = [
  [rollout('a', 1, 1, 0), rollout('b', 1, 1, 3), rollout('c', 0, 1, 1), rollout('d', 0.5, 0, 0)],
  [rollout('e', 0, 0, 0), rollout('f', 1, 1, 4), rollout('g', 0, 1, 2)],
  [rollout('h', 1, 1, 1), rollout('i', 1, 1, 1)],
]

/** (value - mean) / (unbiased deviation + 1e-6), 0 if all are equal. */
function normalised(values: number[], scaleByStd = true): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  if (values.every((value) => value === values[0])) return values.map(() => 0)
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const deviation = Math.sqrt(squares / (values.length - 1))
  return values.map((value) => (value - mean) / (scaleByStd ? deviation + 1e-6 : 1))
}

const accuracyOf = (group: (typeof groups)[number]) => group.map(({ accuracyReward }) => accuracyReward)
const efficiencyOf = (group: (typeof groups)[number]) =>
  group.map(({ answerReward, toolCalls }) => (answerReward >= 1 ? 1 / (toolCalls.length + 1) : 0))

async function advantages(options: AlgorithmOptions, given = groups) {
  const assigned = await assignAdvantages(given, options)
  return {
    accuracy: assigned.flat().map(({ accuracyAdvantage }) => accuracyAdvantage),
    efficiency: assigned.flat().map(({ efficiencyAdvantage }) => efficiencyAdvantage),
  }
}

function expectClose(found: number[], expected: number[]): void {
  expect(found).toEqual(expected.map((value) => expect.closeTo(value, 5)))
}

describe('assignAdvantages', () => {
  it('hdpo: accuracy over the group, efficiency over its right rollouts', async () => {
    const { accuracy, efficiency } = await advantages({ name: 'hdpo' })
    expectClose(
      accuracy,
      groups.flatMap((group) => normalised(accuracyOf(group))),
    )
    const [cheap, dear] = normalised([1, 0.25])
    expectClose(efficiency, [cheap as number, dear as number, 0, 0, 0, 0, 0, 0, 0])
    // A half right answer does not count as right.
    expect(efficiency[3]).toBe(0)
  })

  it('grpo: accuracy alone', async () => {
    const { accuracy, efficiency } = await advantages({ name: 'grpo' })
    expect(accuracy).toEqual((await advantages({ name: 'hdpo' })).accuracy)
    expect(efficiency).toEqual(new Array(9).fill(0))
  })

  it('grpo-coupled: one reward, normalised once', async () => {
    for (const alpha of [0, 0.15, 2]) {
      const { accuracy, efficiency } = await advantages({ name: 'grpo-coupled', alpha })
      const expected = groups.flatMap((group) => {
        const calls = efficiencyOf(group)
        return normalised(accuracyOf(group).map((reward, index) => reward + alpha * (calls[index] as number)))
      })
      expectClose(accuracy, expected)
      expect(efficiency).toEqual(new Array(9).fill(0))
    }
  })

  it('grpo-coupled: a penalty for each call, of wrong rollouts too', async () => {
    for (const callPenalty of [0, 0.3, 2]) {
      const { accuracy, efficiency } = await advantages({ name: 'grpo-coupled', callPenalty })
      const expected = groups.flatMap((group) =>
        normalised(
          accuracyOf(group).map(
            (reward, index) => reward - callPenalty * (group[index]?.toolCalls.length ?? 0),
          ),
        ),
      )
      expectClose(accuracy, expected)
      expect(efficiency).toEqual(new Array(9).fill(0))
    }
  })

  it('gdpo: each reward over the group, weighted, summed, normalised over the batch', async () => {
    const { accuracy, efficiency } = await advantages({
      name: 'gdpo',
      accuracyWeight: 0.8,
      efficiencyWeight: 0.3,
    })
    const sums = groups.flatMap((group) => {
      const calls = normalised(efficiencyOf(group))
      return normalised(accuracyOf(group)).map((value, index) => 0.8 * value + 0.3 * (calls[index] as number))
    })
    expectClose(accuracy, normalised(sums))
    expect(efficiency).toEqual(new Array(9).fill(0))
  })

  it('leaves the division by the deviation out on request, but not from the batch of gdpo', async () => {
    const drGrpo = await advantages({ name: 'grpo', scaleByStd: false })
    expectClose(
      drGrpo.accuracy,
      groups.flatMap((group) => normalised(accuracyOf(group), false)),
    )
    const { accuracy } = await advantages({ name: 'gdpo', scaleByStd: false, efficiencyWeight: 0 })
    expectClose(accuracy, normalised(groups.flatMap((group) => normalised(accuracyOf(group), false))))
  })

  it('keeps order and content of the rollouts, and leaves those given alone', async () => {
    const assigned = await assignAdvantages(groups, { name: 'hdpo' })
    expect(assigned).toEqual(
      groups.map((group) =>
        group.map((one) => ({
          ...one,
          accuracyAdvantage: expect.any(Number),
          efficiencyAdvantage: expect.any(Number),
        })),
      ),
    )
    expect(groups[0]?.[0]).not.toHaveProperty('accuracyAdvantage')
  })

  it('takes empty groups, and none', async () => {
    for (const name of algorithmNames) {
      expect(await assignAdvantages([], { name })).toEqual([])
      expect(await assignAdvantages([[], []], { name })).toEqual([[], []])
      const [, second] = await assignAdvantages([[], [rollout('a', 1, 1, 0)]], { name })
      expect(second?.[0]).toMatchObject({ accuracyAdvantage: 0, efficiencyAdvantage: 0 })
    }
  })

  refuses(
    (options: AlgorithmOptions) => assignAdvantages(groups, options),
    [
      [
        { name: 'grpo-coupled', alpha: 0.1, callPenalty: 0.2 },
        'algorithm.callPenalty: must be left out where alpha is given: they are two forms of one reward, got 0.2',
      ],
      [{ name: 'grpo-coupled', callPenalty: -1 }, 'algorithm.callPenalty: must be at least 0, got -1'],
      [{ name: 'ppo' }, "algorithm.name: must be one of hdpo, grpo, grpo-coupled, gdpo, got 'ppo'"],
      [{ name: 'hdpo', efficiencyWeight: -1 }, 'algorithm.efficiencyWeight: must be at least 0, got -1'],
      [
        { name: 'hdpo', accuracyWeight: Number.POSITIVE_INFINITY },
        'algorithm.accuracyWeight: must be finite and at least 0, got Infinity',
      ],
      [{ name: 'hdpo', alpha: '1' }, "algorithm.alpha: must be a number of at least 0, got '1'"],
      [{ name: 'hdpo', scaleByStd: 1 }, 'algorithm.scaleByStd: must be true or false, got 1'],
      [
        { name: 'hdpo', efficencyWeight: 1 },
        'algorithm.efficencyWeight: must be left out (there is no such option; did you mean efficiencyWeight?), got 1',
      ],
      ['hdpo', "algorithm: must be an object, got 'hdpo'"],
      [null, 'algorithm: must be an object, got null'],
    ],
  )
})

describe('lossWeights', () => {
  it('are those of the paper for hdpo; the baselines have one channel', () => {
    expect(lossWeights({ name: 'hdpo' })).toEqual({ accuracyWeight: 1, efficiencyWeight: 0.15 })
    const weights = { accuracyWeight: 0.5, efficiencyWeight: 2 }
    expect(lossWeights({ name: 'hdpo', ...weights })).toEqual(weights)
    expect(lossWeights({ name: 'grpo', ...weights })).toEqual({ accuracyWeight: 0.5, efficiencyWeight: 0 })
    expect(lossWeights({ name: 'grpo-coupled', ...weights })).toEqual({
      accuracyWeight: 0.5,
      efficiencyWeight: 0,
    })
    expect(lossWeights({ name: 'gdpo', ...weights })).toEqual({ accuracyWeight: 1, efficiencyWeight: 0 })
  })
})
