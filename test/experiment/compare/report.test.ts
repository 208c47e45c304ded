import { describe, expect, it } from 'vitest'
import { paretoChart, weightCurvesChart } from '../../../lib/experiment/compare/charts.js'
import { cellsOf, type Grid } from '../../../lib/experiment/compare/grid.js'
import { rangeChart } from '../../../lib/experiment/compare/range-chart.js'
import { renderCompareReport } from '../../../lib/experiment/compare/report.js'
import type { CellResult, Measures, StartResult } from '../../../lib/experiment/compare/result.js'
import { armsOf } from '../../../lib/experiment/compare/statistics.js'

const grid: Grid = {
  seeds: [0, 1],
  settings: [{}, { answerNoise: 0.1 }],
  algorithms: [{ name: 'hdpo', efficiencyWeight: [0.05, 0.15, 0.5] }, { name: 'grpo' }],
  policy: '/policies/<start>',
  train: { groupSize: 4, promptsPerStep: 4, steps: 10, optimizer: { learningRate: 0.001 } },
  rollout: {},
  evaluation: { knownSamples: 8, samples: 4, every: 10, curveQuestions: 64 },
  targets: { redundantCallRate: 0.02, neededCallsKept: 0.97 },
  threads: 1,
}
const measures = (redundantCallRate: number): Measures => ({
  accuracy: 0.8,
  callsPerRollout: 1,
  callShare: 0.7,
  redundantCallRate,
  neededCallRate: 0.95,
})
// 0.15 and 0.5 reach the targets, 0.05 and grpo (no weight) do not.
const cells = cellsOf(grid).map((cell): CellResult => {
  const after = measures((cell.weight ?? 0) > 0.1 ? 0.01 : 0.5)
  return {
    cell,
    after,
    curve: [
      { step: 0, ...measures(1) },
      { step: 10, ...after },
    ],
    training: [{ step: 1, accuracy: 0.8, callsPerRollout: 1, qualifyingRatio: 0.7 }],
    seconds: 1,
    provenance: { version: '0.1.0', commit: 'abc1234', node: 'v20', processor: 'two cores' },
  }
})
const starts = grid.seeds.map(
  (seed): StartResult => ({
    seed,
    parameters: 1,
    knowledge: { samples: 8, rightShare: [] },
    knownQuestions: 137,
    neededQuestions: 425,
    before: measures(0.98),
    curveBefore: measures(0.98),
    seconds: 1,
  }),
)
const arms = armsOf(cells, starts)
const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length

describe('renderCompareReport', () => {
  const html = renderCompareReport({
    title: 'A & B <compared>',
    grid,
    results: { starts, cells, missing: ['plain/gdpo/seed-2'] },
  })

  it('is one file that asks for nothing else', () => {
    expect(html).not.toMatch(/<script|<link|<img|url\(|@import/)
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:/)
  })

  it('escapes what it is given', () => {
    expect(html).toContain('<h1>A &amp; B &lt;compared&gt;</h1>')
    expect(html).toContain('policy: /policies/&lt;start&gt;')
  })

  it('has a row for every arm, marks those that reach the targets, and says what is missing and how it was made', () => {
    expect(count(html, /<tr( class="reached")?><td>/g)).toBe(8)
    expect(count(html, /<tr class="reached"><td>hdpo efficiencyWeight 0\.(15|5)</g)).toBe(4)
    expect(html).toContain("Not finished: 1 of the grid's runs")
    expect(html).toContain('plain/gdpo/seed-2')
    expect(html).toContain('hdpo 0.1.0, commit abc1234, Node v20, two cores')
  })

  it('can be made before anything has finished', () => {
    const empty = renderCompareReport({
      title: 'Nothing',
      grid,
      results: { starts: [], cells: [], missing: [] },
    })
    expect(empty).toContain('0 runs.')
    expect(empty).not.toMatch(/NaN|undefined|Infinity/)
  })

  it('holds no number that is none', () => {
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
  })
})

describe('charts', () => {
  it('have a title, a point an arm, a line a weight', () => {
    const plain = arms.filter(({ setting }) => setting === 'plain')
    const pareto = paretoChart('Accuracy', plain, starts)
    expect(pareto).toContain('<title>Accuracy</title>')
    expect(count(pareto, /<circle /g)).toBe(4)
    const curves = weightCurvesChart('Redundant', plain.slice(0, 3), 'redundantCallRate')
    expect(count(curves, /stroke-width="1.8"/g)).toBe(3)
  })

  it('the range spans the neighbouring weights that reach the targets', () => {
    const chart = rangeChart('Ranges', arms, grid.targets)
    // Two settings, one span each; full discs for 0.15 and 0.5.
    expect(count(chart, /stroke="#86efac"/g)).toBe(2)
    expect(count(chart, /fill="#15803d"/g)).toBe(4)
    expect(chart).toContain('1.0 / 100.0')
  })
})
