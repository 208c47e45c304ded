import { describe, expect, it } from 'vitest'
import type { EvaluationSummary } from '../../../lib/evaluation/evaluate.js'
import {
  comparisonRows,
  redundantFold,
  renderReport,
  savingsPerThousand,
} from '../../../lib/experiment/quickstart/report.js'
import type { StepMetrics } from '../../../lib/trainer/metrics.js'

const summary = (redundantCallRate: number, accuracy: number): EvaluationSummary =>
  ({
    questions: 50,
    rollouts: 200,
    accuracy,
    format: 1,
    callsPerRollout: 1.25,
    callShare: 0.5,
    costPerRollout: accuracy,
    toolSecondsPerRollout: 0.01,
    redundantCallRate,
    neededCallRate: 0.99,
    knownQuestions: 30,
    neededQuestions: 20,
  }) as EvaluationSummary

const step = (number: number): StepMetrics =>
  ({
    step: number,
    accuracy: 0.5 + number / 100,
    callsPerRollout: 2 - number / 10,
    qualifyingRatio: number / 10,
    qualifyingGroups: number / 10,
    ...(number % 2 === 0 && { evaluation: summary(0.5, 0.6) }),
  }) as StepMetrics

describe('report', () => {
  it('shows before and after by name', () => {
    const rows = comparisonRows(summary(0.98, 0.7), summary(0.02, 0.8))
    expect(rows[0]).toEqual({ name: 'Redundant-call rate (known questions)', before: '98.0%', after: '2.0%' })
    expect(rows.at(3)).toMatchObject({ before: '-', after: '-' })
    expect(rows.at(-2)).toEqual({ name: 'Tool cost per 1,000 questions', before: '700', after: '800' })
    expect(rows.at(-1)).toMatchObject({ before: '10.0', after: '10.0' })
    expect(savingsPerThousand(summary(0, 0.75), summary(0, 0.25))).toEqual({ cost: 500, toolSeconds: 0 })
  })

  it('gives the fold, or a bound when no redundant call is left', () => {
    expect(redundantFold(summary(0.98, 0), summary(0.02, 0))).toBe('49-fold')
    expect(redundantFold(summary(0.98, 0), summary(0, 0))).toBe('more than 117-fold')
    expect(redundantFold(summary(0, 0), summary(0, 0))).toBeUndefined()
  })

  it('is one HTML file with a chart for each curve and no outside reference', () => {
    const html = renderReport({
      title: 'Report <1>',
      before: summary(0.98, 0.7),
      after: summary(0.02, 0.8),
      curveStart: summary(0.97, 0.7),
      metrics: [1, 2, 3, 4].map(step),
      seconds: { train: 61.25 },
      facts: { seed: '0' },
    })
    expect(html.match(/<svg /g)).toHaveLength(4)
    expect(html).toContain('Report &lt;1&gt;')
    expect(html).toContain('<td>61.3</td>')
    expect(html).not.toMatch(/<script|<link|src=|NaN|undefined/)
  })
})
