// report.html of a run: before/after table and the curves, one file without scripts or outside references.

import type { EvaluationSummary } from '../evaluation/evaluate.js'
import type { StepMetrics } from '../trainer/metrics.js'
import { escapeXml, renderChart, type Series } from './chart.js'

export interface Report {
  title: string
  /** On the same held-out questions. */
  before: EvaluationSummary
  after: EvaluationSummary
  /** Before training, on the questions that the evaluations while training ask: step 0 of the curves. */
  curveStart: EvaluationSummary
  metrics: readonly StepMetrics[]
  /** Wall-clock seconds by phase, in order. */
  seconds: Readonly<Record<string, number>>
  /** Facts worth a line: seed, parameters, host. */
  facts: Readonly<Record<string, string>>
}

export interface ComparisonRow {
  name: string
  before: string
  after: string
}

const colors = { blue: '#2563eb', red: '#dc2626', green: '#059669', amber: '#d97706' }

export function comparisonRows(before: EvaluationSummary, after: EvaluationSummary): ComparisonRow[] {
  const row = (name: string, read: (summary: EvaluationSummary) => string) => ({
    name,
    before: read(before),
    after: read(after),
  })
  return [
    row('Redundant-call rate (known questions)', (summary) => percent(summary.redundantCallRate)),
    row('Needed-call rate (needed questions)', (summary) => percent(summary.neededCallRate)),
    row('Accuracy, held-out questions', (summary) => percent(summary.accuracy)),
    row('Accuracy, known questions', (summary) => percent(summary.knownAccuracy)),
    row('Accuracy, needed questions', (summary) => percent(summary.neededAccuracy)),
    row('Calls per rollout', (summary) => summary.callsPerRollout.toFixed(2)),
    row('Rollouts that call a tool', (summary) => percent(summary.callShare)),
    row('Tool cost per 1,000 questions', (summary) => perThousand(summary.costPerRollout)),
    row('Tool seconds per 1,000 questions', (summary) => perThousand(summary.toolSecondsPerRollout ?? 0)),
  ]
}

/** What the policy after saves on 1,000 questions against the one before, in the unit of the tools' costs and in seconds. */
export function savingsPerThousand(
  before: EvaluationSummary,
  after: EvaluationSummary,
): { cost: number; toolSeconds: number } {
  return {
    cost: 1000 * (before.costPerRollout - after.costPerRollout),
    toolSeconds: 1000 * ((before.toolSecondsPerRollout ?? 0) - (after.toolSecondsPerRollout ?? 0)),
  }
}

/**
 * '98% to 2%' as a factor: '49-fold fewer'; with no redundant call left, the factor that one call would have
 * given, as a bound.
 */
export function redundantFold(before: EvaluationSummary, after: EvaluationSummary): string | undefined {
  const [was, is] = [before.redundantCallRate, after.redundantCallRate]
  if (was === undefined || is === undefined || was === 0) return undefined
  if (is > 0) return `${(was / is).toFixed(was / is < 10 ? 1 : 0)}-fold`
  const rolloutsAsked = (after.knownQuestions ?? 0) * (after.rollouts / Math.max(after.questions, 1))
  return `more than ${Math.floor(was * rolloutsAsked)}-fold`
}

export function renderReport(report: Report): string {
  const rows = comparisonRows(report.before, report.after)
  const total = Object.values(report.seconds).reduce((sum, seconds) => sum + seconds, 0)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(report.title)}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1180px; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .35rem 1rem .35rem 0; border-bottom: 1px solid #e5e7eb; text-align: right }
th:first-child, td:first-child { text-align: left }
figure { display: inline-block; margin: .5rem .5rem 0 0; border: 1px solid #e5e7eb; border-radius: 6px }
figure svg { max-width: 100%; height: auto; display: block }
.facts { color: #6b7280 }
</style>
</head>
<body>
<h1>${escapeXml(report.title)}</h1>
<table>
<tr><th>Held-out questions: ${report.after.questions}</th><th>Before</th><th>After</th></tr>
${rows.map(({ name, before, after }) => `<tr><td>${escapeXml(name)}</td><td>${before}</td><td>${after}</td></tr>`).join('\n')}
</table>
<p>${escapeXml(describeSavings(savingsPerThousand(report.before, report.after)))}</p>
${reportCharts(report)
  .map((svg) => `<figure>${svg}</figure>`)
  .join('\n')}
<table>
<tr><th>Phase</th><th>Seconds</th></tr>
${Object.entries(report.seconds)
  .map(([phase, seconds]) => `<tr><td>${escapeXml(phase)}</td><td>${seconds.toFixed(1)}</td></tr>`)
  .join('\n')}
<tr><td>total</td><td>${total.toFixed(1)}</td></tr>
</table>
<p class="facts">${Object.entries(report.facts)
    .map(([name, value]) => escapeXml(`${name}: ${value}`))
    .join(' &middot; ')}</p>
</body>
</html>
`
}

/** Accuracy, calls, call rates by what the policy knows, qualifying ratio, over steps. */
export function reportCharts({ metrics, curveStart }: Pick<Report, 'metrics' | 'curveStart'>): string[] {
  const share = { xLabel: 'step', yMax: 1, formatY: (value: number) => `${Math.round(value * 100)}%` }
  const evaluated = (name: string, color: string, read: (summary: EvaluationSummary) => number | undefined) =>
    series(name, color, [
      { x: 0, y: read(curveStart) },
      ...metrics.map((step) => ({ x: step.step, y: step.evaluation && read(step.evaluation) })),
    ])
  const trained = (name: string, color: string, read: (step: StepMetrics) => number) =>
    series(
      name,
      color,
      metrics.map((step) => ({ x: step.step, y: read(step) })),
    )
  return [
    renderChart({
      ...share,
      title: 'Calls on held-out questions',
      series: [
        evaluated('redundant', colors.red, (summary) => summary.redundantCallRate),
        evaluated('needed', colors.green, (summary) => summary.neededCallRate),
      ],
    }),
    renderChart({
      ...share,
      title: 'Accuracy',
      series: [
        trained('training', colors.blue, (step) => step.accuracy),
        evaluated('held out', colors.amber, (summary) => summary.accuracy),
      ],
    }),
    renderChart({
      title: 'Tool calls per rollout',
      xLabel: 'step',
      series: [trained('calls', colors.blue, (step) => step.callsPerRollout)],
    }),
    renderChart({
      ...share,
      title: 'Qualifying ratio',
      series: [
        trained('rollouts', colors.blue, (step) => step.qualifyingRatio),
        trained('groups', colors.amber, (step) => step.qualifyingGroups),
      ],
    }),
  ]
}

function series(name: string, color: string, points: { x: number; y: number | undefined }[]): Series {
  return {
    name,
    color,
    points: points.filter((point): point is { x: number; y: number } => point.y !== undefined),
  }
}

function describeSavings({ cost, toolSeconds }: { cost: number; toolSeconds: number }): string {
  return `Saved per 1,000 questions: tool cost ${cost.toPrecision(3)} (in the unit of the tools' costs), ${toolSeconds.toPrecision(3)} seconds in tools.`
}

function perThousand(perQuestion: number): string {
  const value = 1000 * perQuestion
  return value === 0 || value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

function percent(share: number | undefined): string {
  return share === undefined ? '-' : `${(100 * share).toFixed(1)}%`
}
