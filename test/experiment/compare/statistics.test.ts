import { describe, expect, it } from 'vitest'
import { cellsOf } from '../../../lib/experiment/compare/grid.js'
import type { CellResult, StartResult } from '../../../lib/experiment/compare/result.js'
import { resultsCsv } from '../../../lib/experiment/compare/results-table.js'
import {
  armsOf,
  curveOfArm,
  estimate,
  estimateOf,
  reachOf,
} from '../../../lib/experiment/compare/statistics.js'

const targets = { redundantCallRate: 0.02, neededCallsKept: 0.97 }

const start = (seed: number, neededCallRate: number): StartResult => ({
  seed,
  parameters: 1,
  knowledge: { samples: 8, rightShare: [] },
  knownQuestions: 1,
  neededQuestions: 1,
  before: { accuracy: 0.8, callsPerRollout: 1.4, callShare: 1, redundantCallRate: 0.98, neededCallRate },
  curveBefore: { accuracy: 0.8, callsPerRollout: 1.4, callShare: 1 },
  seconds: 1,
})

const cells = cellsOf({
  seeds: [0, 1],
  settings: [{}],
  algorithms: [{ name: 'hdpo', efficiencyWeight: [0.1, 0.2] }],
})

function result(index: number, redundantCallRate: number, neededCallRate: number): CellResult {
  const after = { accuracy: 0.9, callsPerRollout: 1, callShare: 0.7, redundantCallRate, neededCallRate }
  return {
    cell: cells[index] as CellResult['cell'],
    after,
    curve: [
      { step: 0, ...after, redundantCallRate: 1 },
      { step: 10, ...after },
    ],
    training: [],
    seconds: 12.4,
    provenance: { version: '0', node: 'v20', processor: 'one' },
  }
}

// Cells come seed by seed: 0 and 2 are weight 0.1, 1 and 3 weight 0.2.
const results = [result(0, 0.01, 0.95), result(1, 0.5, 1), result(2, 0.03, 0.96), result(3, 0.6, 1)]
const arms = armsOf(results, [start(0, 0.95), start(1, 1)])

describe('armsOf', () => {
  it('gathers seeds, and measures needed calls against those of the same seed before training', () => {
    expect(arms.map(({ label, results: own }) => [label, own.length])).toEqual([
      ['hdpo efficiencyWeight 0.1', 2],
      ['hdpo efficiencyWeight 0.2', 2],
    ])
    expect(arms[0]?.results.map(({ after }) => after.neededCallsKept)).toEqual([1, 0.96])
  })
})

describe('reachOf', () => {
  it('counts seeds, and asks both targets of the means', () => {
    // Means: 2% redundant, 98% kept.
    expect(reachOf(arms[0] as (typeof arms)[0], targets)).toEqual({ seeds: 2, reached: 1, onAverage: true })
    expect(reachOf(arms[1] as (typeof arms)[0], targets)).toEqual({ seeds: 2, reached: 0, onAverage: false })
  })
})

describe('estimate', () => {
  it('is the mean with an interval inside the values', () => {
    const found = estimate([0.1, 0.2, 0.6])
    expect(found?.mean).toBeCloseTo(0.3, 12)
    expect(found?.low).toBeGreaterThanOrEqual(0.1)
    expect(found?.low).toBeLessThan(0.2)
    expect(found?.high).toBeLessThanOrEqual(0.6)
    expect(found?.high).toBeGreaterThan(0.4)
    expect(estimate([0.1, 0.2, 0.6])).toEqual(found)
  })

  it('narrows with more values of the same spread, and covers the mean it should', () => {
    const few = estimate([0, 1, 0, 1])
    const many = estimate(Array.from({ length: 100 }, (_, index) => index % 2))
    expect((few?.high ?? 0) - (few?.low ?? 0)).toBeGreaterThan(2 * ((many?.high ?? 0) - (many?.low ?? 0)))
    // Standard error of 100 fair coins is 0.05.
    expect(many?.low).toBeCloseTo(0.4, 1)
    expect(many?.high).toBeCloseTo(0.6, 1)
  })

  it('has no interval for one value, and nothing for none', () => {
    expect(estimate([0.4])).toEqual({ mean: 0.4, low: 0.4, high: 0.4 })
    expect(estimate([])).toBeUndefined()
  })
})

it('curves are means by step', () => {
  const curve = curveOfArm(arms[0] as (typeof arms)[0], 'redundantCallRate')
  expect(curve.map(({ step, mean }) => [step, mean])).toEqual([
    [0, 1],
    [10, 0.02],
  ])
  expect(estimateOf(arms[0] as (typeof arms)[0], 'neededCallsKept')?.mean).toBeCloseTo(0.98, 12)
})

it('resultsCsv has a line a cell', () => {
  const lines = resultsCsv(results).split('\n')
  expect(lines).toHaveLength(6)
  expect(lines[0]).toBe(
    'setting,algorithm,method,weight,seed,accuracy,redundantCallRate,neededCallRate,callsPerRollout,seconds,commit',
  )
  expect(lines[1]).toBe('plain,hdpo,hdpo efficiencyWeight,0.1,0,0.9,0.01,0.95,1,12,')
})
