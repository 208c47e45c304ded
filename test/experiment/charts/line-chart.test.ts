import { describe, expect, it } from 'vitest'
import { type CurvePoint, lineChart } from '../../../lib/experiment/charts/line-chart.js'

const chart = (points: CurvePoint[], y?: { label: string }) =>
  lineChart({ title: 't', curves: [{ name: 's', color: '#000', points }], ...(y && { y }) })

describe('lineChart', () => {
  const points = [
    { step: 0, value: 0 },
    { step: 10, value: 1 },
  ]

  it('draws the points where the scales put them', () => {
    // 560 x 260 with margins 30, 16, 42, 60 and one line of legend (16): x from 60 to 544, y from 218 up to 46.
    expect(chart(points)).toContain('d="M60,218L544,46"')
    expect(chart(points)).toContain('>100%</text>')
  })

  it('begins other values than shares at 0 and ends them at a round number', () => {
    const calls = chart(
      points.map(({ step, value }) => ({ step, value: 1.9 * value })),
      { label: 'calls' },
    )
    // The value is 1.9 on an axis to 2.
    expect(calls).toContain('d="M60,218L544,54.6"')
    expect(calls).toContain('>calls</text>')
  })

  it('draws bands where there are any, dots at few points otherwise', () => {
    expect(chart(points).match(/<circle/g)).toHaveLength(2)
    expect(chart(Array.from({ length: 31 }, (_, step) => ({ step, value: 0.5 })))).not.toContain('<circle')
    const spread = chart(points.map((point) => ({ ...point, low: 0, high: 1 })))
    expect(spread).toContain('d="M60,46L544,46L544,218L60,218Z"')
    expect(spread).not.toContain('<circle')
  })

  it('manages no point and one point', () => {
    for (const few of [[], [{ step: 3, value: 0.5 }]])
      expect(chart(few)).not.toMatch(/NaN|undefined|Infinity/)
  })
})
