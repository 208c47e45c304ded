import { describe, expect, it } from 'vitest'
import { cellsOf, type Grid, jobsOf, settingLabel } from '../../../lib/experiment/compare/grid.js'

const grid = {
  seeds: [0, 1],
  settings: [{}, { answerNoise: 0.1 }],
  algorithms: [{ name: 'hdpo', efficiencyWeight: [0.1, 0.2] }, { name: 'grpo' }],
} satisfies Pick<Grid, 'seeds' | 'settings' | 'algorithms'>

describe('cellsOf', () => {
  it('goes through one seed, setting by setting, before the next', () => {
    expect(cellsOf(grid).map(({ id }) => id)).toEqual(
      ['seed-0', 'seed-1'].flatMap((seed) =>
        ['plain', 'answerNoise-0.1'].flatMap((setting) => [
          `${setting}/hdpo-efficiencyWeight-0.1/${seed}`,
          `${setting}/hdpo-efficiencyWeight-0.2/${seed}`,
          `${setting}/grpo/${seed}`,
        ]),
      ),
    )
  })

  it('names the method by what varies, and gives each cell one weight', () => {
    const [first, , third] = cellsOf(grid)
    expect(first).toMatchObject({
      method: 'hdpo efficiencyWeight',
      weight: 0.1,
      algorithm: { name: 'hdpo', efficiencyWeight: 0.1 },
    })
    expect(third).toMatchObject({ method: 'grpo', algorithm: { name: 'grpo' } })
    expect(third).not.toHaveProperty('weight')
  })

  it('keeps fixed options apart', () => {
    const cells = cellsOf({
      ...grid,
      algorithms: [
        { name: 'grpo-coupled', alpha: 0.3 },
        { name: 'grpo-coupled', callPenalty: 0.3 },
        { name: 'hdpo', accuracyWeight: 2, efficiencyWeight: [0.1] },
      ],
    })
    expect([...new Set(cells.map(({ method }) => method))]).toEqual([
      'grpo-coupled-alpha-0.3',
      'grpo-coupled-callPenalty-0.3',
      'hdpo-accuracyWeight-2 efficiencyWeight',
    ])
  })

  it('refuses two lists in one entry, and a cell that is there twice', () => {
    const both = { name: 'hdpo', efficiencyWeight: [0.1], accuracyWeight: [1] } as const
    expect(() =>
      cellsOf({ ...grid, algorithms: [{ ...both, efficiencyWeight: [0.1], accuracyWeight: [1] }] }),
    ).toThrow(
      'algorithms: must be entries with one list each (write several), got hdpo with lists for efficiencyWeight and accuracyWeight',
    )
    expect(() => cellsOf({ ...grid, seeds: [3, 3] })).toThrow(
      'grid: must be without repetitions, got plain/hdpo-efficiencyWeight-0.1/seed-3 twice',
    )
  })
})

describe('jobsOf', () => {
  it('puts the start of a seed before its cells', () => {
    const ids = jobsOf({ ...grid } as Grid).map(({ id }) => id)
    expect(ids).toHaveLength(2 + 12)
    expect(ids.indexOf('start/seed-1')).toBe(7)
    expect(ids[0]).toBe('start/seed-0')
  })
})

it('settingLabel is a folder name', () => {
  expect(settingLabel({})).toBe('plain')
  expect(settingLabel({ answerNoise: 0.1, source: 'a/b c' })).toBe('answerNoise-0.1-source-a_b_c')
})
