import { describe, expect, it } from 'vitest'
import { assignAdvantages } from '../../lib/hdpo/algorithms.js'
import { kernels } from '../../lib/native/kernels.js'
import { refuses } from '../core/wrong-options.js'

const input = { groupIds: [1, 1, 1, 1], accuracyRewards: [1, 1, 1, 0], correct: [1, 1, 1, 0] }

describe('kernels.groupAdvantages with costs', () => {
  it('rewards 1 / (1 + cost), and calls are costs of 1 each', async () => {
    const { efficiencyRewards, efficiencyAdvantages } = await kernels.groupAdvantages({
      ...input,
      toolCosts: [0, 0.25, 3, 0],
    })
    expect(Array.from(efficiencyRewards)).toEqual([1, Math.fround(0.8), 0.25, 0])
    const mean = (1 + 0.8 + 0.25) / 3
    const std = Math.sqrt([1, 0.8, 0.25].reduce((sum, value) => sum + (value - mean) ** 2, 0) / 2)
    for (const [index, reward] of [1, 0.8, 0.25].entries())
      expect(efficiencyAdvantages[index]).toBeCloseTo((reward - mean) / (std + 1e-6), 6)
    expect(efficiencyAdvantages[3]).toBe(0)
    const calls = [0, 2, 5, 1]
    expect(await kernels.groupAdvantages({ ...input, toolCosts: calls })).toEqual(
      await kernels.groupAdvantages({ ...input, toolCalls: calls }),
    )
  })

  const oneOfThem = 'toolCosts: must be given where toolCalls is not, and left out where it is'
  refuses(
    (costs: object) => kernels.groupAdvantages({ ...input, ...costs }),
    [
      [{ toolCosts: [0, 0, 0, -1] }, 'toolCosts[3]: must be at least 0, got -1'],
      [
        { toolCosts: [0, 0, 0, Number.NaN] },
        'toolCosts[3]: must be a finite number in the range of float32, got NaN',
      ],
      [{ toolCosts: [0] }, 'toolCosts: must be of 4 elements, one per rollout as groupIds, got 1 elements'],
      [{ toolCosts: [0, 0, 0, 0], toolCalls: [0, 0, 0, 0] }, `${oneOfThem}, got [ 0, 0, 0, 0 ]`],
      [{}, `${oneOfThem}, got undefined`],
    ],
  )
})

describe('assignAdvantages', () => {
  const rollout = (answerReward: number, ...costs: (number | undefined)[]) => ({
    answerReward,
    accuracyReward: answerReward,
    toolCalls: costs.map((cost) => (cost === undefined ? {} : { cost })),
  })

  it('prefers the cheaper of two right rollouts, whatever the number of calls', async () => {
    const [group = []] = await assignAdvantages([[rollout(1, 0.1, 0.1, 0.1), rollout(1, 5), rollout(0)]], {
      name: 'hdpo',
    })
    expect(group[0]?.efficiencyAdvantage).toBeGreaterThan(0)
    expect(group[1]?.efficiencyAdvantage).toBeLessThan(0)
    expect(group[2]?.efficiencyAdvantage).toBe(0)
  })

  it.each(['hdpo', 'grpo', 'grpo-coupled', 'gdpo'] as const)(
    '%s: calls without a cost count 1',
    async (name) => {
      const plain = await assignAdvantages(
        [[rollout(1, undefined, undefined), rollout(1), rollout(0, undefined)]],
        { name },
      )
      const priced = await assignAdvantages([[rollout(1, 0.5, 1.5), rollout(1), rollout(0, 1)]], { name })
      const advantages = (groups: typeof plain) =>
        groups
          .flat()
          .map(({ accuracyAdvantage, efficiencyAdvantage }) => [accuracyAdvantage, efficiencyAdvantage])
      expect(advantages(priced)).toEqual(advantages(plain))
    },
  )

  it('has no trouble with a group that is empty', async () => {
    const groups = await assignAdvantages([[], [rollout(1), rollout(0)], []], { name: 'hdpo' })
    expect(groups.map((group) => group.length)).toEqual([0, 2, 0])
    expect(groups[1]?.[0]?.accuracyAdvantage).toBeGreaterThan(0)
    expect(await assignAdvantages([[], []], { name: 'gdpo' })).toEqual([[], []])
  })
})
