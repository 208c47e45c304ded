import { describe, expect, it } from 'vitest'
import { type GroupAdvantagesInput, kernels } from '../../lib/native/kernels.js'
import { refuses } from '../core/wrong-options.js'
import { advantagesCases, largestDifference } from './golden.js'

const rollouts = {
  groupIds: [4, 4, 4, -7],
  accuracyRewards: [1, 0.1, 1, 1],
  correct: [1, 0, 1, 1],
  toolCalls: [1, 0, 0, 3],
}

describe('groupAdvantages', () => {
  it.each(advantagesCases())('agrees with the reference: $name', async ({ name: _, expected, ...input }) => {
    const found = await kernels.groupAdvantages(input)
    expect(largestDifference(found.efficiencyRewards, expected.efficiencyRewards)).toBeLessThan(1e-6)
    expect(largestDifference(found.accuracyAdvantages, expected.accuracyAdvantages)).toBeLessThan(1e-6)
    expect(largestDifference(found.efficiencyAdvantages, expected.efficiencyAdvantages)).toBeLessThan(1e-6)
  })

  it('gives the same for every kind of array', async () => {
    const fromPlain = await kernels.groupAdvantages(rollouts)
    const shared = new Int32Array(new SharedArrayBuffer(16))
    shared.set(rollouts.groupIds)
    const others = [
      {
        groupIds: Int32Array.from(rollouts.groupIds),
        accuracyRewards: Float32Array.from(rollouts.accuracyRewards),
        correct: Uint8Array.from(rollouts.correct),
        toolCalls: Int32Array.from(rollouts.toolCalls),
      },
      {
        ...rollouts,
        groupIds: Float64Array.from(rollouts.groupIds),
        toolCalls: Uint16Array.from(rollouts.toolCalls),
      },
      { ...rollouts, groupIds: shared, correct: [true, false, true, true] },
    ]
    for (const input of others) expect(await kernels.groupAdvantages(input)).toEqual(fromPlain)
  })

  it('needs two right rollouts for an efficiency advantage, and two rollouts for any', async () => {
    const { accuracyAdvantages, efficiencyAdvantages } = await kernels.groupAdvantages(rollouts)
    expect(Array.from(efficiencyAdvantages)).toEqual([
      expect.closeTo(-Math.SQRT1_2, 4),
      0,
      expect.closeTo(Math.SQRT1_2, 4),
      0,
    ])
    expect(accuracyAdvantages[3]).toBe(0)
    const oneRight = await kernels.groupAdvantages({ ...rollouts, correct: [1, 0, 0, 1] })
    expect(Array.from(oneRight.efficiencyAdvantages)).toEqual([0, 0, 0, 0])
    expect(Array.from(oneRight.efficiencyRewards)).toEqual([0.5, 0, 0, 0.25])
  })

  it('gives exactly 0 where all rewards are equal', async () => {
    const third = 1 / 3
    const { accuracyAdvantages } = await kernels.groupAdvantages({
      ...rollouts,
      accuracyRewards: [third, third, third, 0.1 + 0.2],
      epsilon: 0,
    })
    expect(Array.from(accuracyAdvantages)).toEqual([0, 0, 0, 0])
  })

  it('takes any int32 as a group id and any count of calls', async () => {
    const found = await kernels.groupAdvantages({
      groupIds: [2 ** 31 - 1, -(2 ** 31), 2 ** 31 - 1, -(2 ** 31)],
      accuracyRewards: [1, 1, 0, 0],
      correct: [1, 1, 1, 1],
      toolCalls: [0, 2 ** 31 - 1, 1, 2 ** 31 - 2],
    })
    expect(found.efficiencyRewards[1]).toBeCloseTo(2 ** -31, 12)
    expect(found.efficiencyAdvantages[0]).toBeCloseTo(Math.SQRT1_2, 4)
    expect(found.accuracyAdvantages[1]).toBeCloseTo(Math.SQRT1_2, 4)
  })

  it('answers nothing with nothing', async () => {
    const nothing = { groupIds: [], accuracyRewards: [], correct: [], toolCalls: [] }
    expect((await kernels.groupAdvantages(nothing)).accuracyAdvantages).toEqual(new Float32Array())
  })

  it('runs concurrent calls apart, off the event loop', async () => {
    const size = 200_000
    const big = {
      groupIds: Int32Array.from({ length: size }, (_, index) => index % 1000),
      accuracyRewards: new Float32Array(size).map((_, index) => index % 2),
      correct: new Uint8Array(size).fill(1),
      toolCalls: Int32Array.from({ length: size }, (_, index) => index % 3),
    }
    /** Whichever came first: the end of a kernel, or a turn of the event loop. */
    const race = async () => {
      const order: string[] = []
      const calls = [1, 2, 3].map(async () => {
        const found = await kernels.groupAdvantages(big)
        order.push('kernel')
        return found
      })
      setImmediate(() => order.push('event loop'))
      const [first, second, third] = await Promise.all(calls)
      for (const other of [second, third]) {
        expect(largestDifference(other?.accuracyAdvantages ?? [], first?.accuracyAdvantages ?? [])).toBe(0)
      }
      await new Promise(setImmediate)
      return order[0]
    }
    // On a busy machine the kernels may win some races; if they ran on the event loop, they would win all.
    let winner = await race()
    for (let races = 1; winner === 'kernel' && races < 100; races++) winner = await race()
    expect(winner).toBe('event loop')
  })

  refuses(
    (wrong: object) => kernels.groupAdvantages({ ...rollouts, ...wrong }),
    [
      [{ groupIds: 'abc' }, "groupIds: must be a typed array or an array of numbers, got 'abc'"],
      [
        { groupIds: [0, 0, 0, 2 ** 31] },
        'groupIds[3]: must be an integer from -2147483648 to 2147483647, got 2147483648',
      ],
      [
        { groupIds: [0, 0.5, 0, 0] },
        'groupIds[1]: must be an integer from -2147483648 to 2147483647, got 0.5',
      ],
      [{ groupIds: [0, '1', 0, 0] }, "groupIds[1]: must be a number, got '1'"],
      [
        { accuracyRewards: [1, 2] },
        'accuracyRewards: must be of 4 elements, one per rollout as groupIds, got 2 elements',
      ],
      [
        { accuracyRewards: [1, Number.NaN, 0, 0] },
        'accuracyRewards[1]: must be a finite number in the range of float32, got NaN',
      ],
      [
        { accuracyRewards: [1, 1e39, 0, 0] },
        'accuracyRewards[1]: must be a finite number in the range of float32, got 1e+39',
      ],
      [
        { accuracyRewards: undefined },
        'accuracyRewards: must be a typed array or an array of numbers, got undefined',
      ],
      [{ correct: [1, 0, 2, 0] }, 'correct[2]: must be 0 or 1, got 2'],
      [{ correct: Uint8Array.of(1, 0, 255, 0) }, 'correct[2]: must be 0 or 1, got 255'],
      [{ correct: [1, 0, 'yes', 0] }, "correct[2]: must be 0, 1 or a boolean, got 'yes'"],
      [{ toolCalls: [0, -1, 0, 0] }, 'toolCalls[1]: must be an integer from 0 to 2147483647, got -1'],
      [
        { toolCalls: Int32Array.of(0, -1, 0, 0) },
        'toolCalls[1]: must be an integer from 0 to 2147483647, got -1',
      ],
      [{ epsilon: -1 }, 'epsilon: must be at least 0, got -1'],
      [{ epsilon: 1e31 }, 'epsilon: must be 0 to 1e+30, got 1e+31'],
      [{ epsilon: '1' }, "epsilon: must be a number of at least 0, got '1'"],
      [{ scaleByStd: 0 }, 'scaleByStd: must be true or false, got 0'],
      [
        { scaleByStdev: false },
        'scaleByStdev: must be left out (there is no such option; did you mean scaleByStd?), got false',
      ],
    ],
  )

  // This is no row of the table, because JSON, which the rows' titles use, has no form of a BigInt.
  it('refuses 64-bit integers', async () => {
    const groupIds = BigInt64Array.of(1n, 1n, 1n, 1n) as unknown as Int32Array
    await expect(kernels.groupAdvantages({ ...rollouts, groupIds })).rejects.toThrow(
      'groupIds: must be a typed array or an array of numbers, got BigInt64Array(4) [ 1n, 1n, 1n, 1n ]',
    )
  })

  refuses(
    (input: GroupAdvantagesInput) => kernels.groupAdvantages(input),
    [
      [null, 'options: must be an object, got null'],
      [undefined, 'options: must be an object, got undefined'],
    ],
  )
})
