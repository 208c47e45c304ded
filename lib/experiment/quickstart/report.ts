// report.html of a quickstart: a table of before and after, and the curves.
import type { EvaluationSummary } from '../../evaluation/evaluate.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import { type Curve, lineChart } from '../charts/line-chart.js'
import { figure, htmlTable, percent, renderPage } from '../charts/page.js'
import { escapeXml } from '../charts/plot.js'

export interface Report {
  title: string
  /** Before and after training, on the same held-out questions. */
  before: EvaluationSummary
  after: EvaluationSummary
  /** Before training, on the questions of the evaluations during training: step 0 of the curves. */
  curveStart: EvaluationSummary
  metrics: readonly StepMetrics[]
  /** Wall-clock seconds per phase, in order. */
  seconds: Readonly<Record<string, number>>
  /** Facts shown one per line: seed, parameters, host. */
  facts: Readonly<Record<string, string>>
}

interface ComparisonRow {
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

/** What training saves per 1,000 questions, in the unit of the tools' costs and in seconds. */
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
 * The factor by which redundant calls fell: '98% to 2%' is '49-fold fewer'. With none left, a lower bound: the factor if there
 * were one.
 */
export function redundantFold(before: EvaluationSummary, after: EvaluationSummary): string | undefined {
  const [was, is] = [before.redundantCallRate, after.redundantCallRate]
  if (was === undefined || is === undefined || was === 0) return undefined
  if (is > 0) return `${(was / is).toFixed(was / is < 10 ? 1 : 0)}-fold`
  const rolloutsAsked = (after.knownQuestions ?? 0) * (after.rollouts / Math.max(after.questions, 1))
  return `more than ${Math.floor(was * rolloutsAsked)}-fold`
}

export function renderReport(report: Report): string {
  const { before, after } = report
  const seconds = Object.entries(report.seconds)
  const total = seconds.reduce((sum, [, taken]) => sum + taken, 0)
  const facts = Object.entries(report.facts).map(([name, value]) => escapeXml(`${name}: ${value}`))
  return renderPage(report.title, [
    htmlTable(
      [`Held-out questions: ${after.questions}`, 'Before', 'After'],
      comparisonRows(before, after).map((row) => ({ cells: [row.name, row.before, row.after] })),
    ),
    `<p>${escapeXml(describeSavings(savingsPerThousand(before, after)))}</p>`,
    ...reportCharts(report).map(figure),
    htmlTable(
      ['Phase', 'Seconds'],
      [...seconds, ['total', total] as const].map(([phase, taken]) => ({ cells: [phase, taken.toFixed(1)] })),
    ),
    `<p class="facts">${facts.join(' &middot; ')}</p>`,
  ])
}

/** Over steps: calls by what the policy knows, accuracy, calls per rollout and qualifying ratio. */
function reportCharts({ metrics, curveStart }: Report): string[] {
  const evaluated = (name: string, color: string, read: (summary: EvaluationSummary) => number | undefined) =>
    curve(name, color, [
      { step: 0, value: read(curveStart) },
      ...metrics.map(({ step, evaluation }) => ({ step, value: evaluation && read(evaluation) })),
    ])
  const trained = (name: string, color: string, read: (step: StepMetrics) => number) =>
    curve(
      name,
      color,
      metrics.map((step) => ({ step: step.step, value: read(step) })),
    )
  return [
    lineChart({
      title: 'Calls on held-out questions',
      curves: [
        evaluated('redundant', colors.red, (summary) => summary.redundantCallRate),
        evaluated('needed', colors.green, (summary) => summary.neededCallRate),
      ],
    }),
    lineChart({
      title: 'Accuracy',
      curves: [
        trained('training', colors.blue, (step) => step.accuracy),
        evaluated('held out', colors.amber, (summary) => summary.accuracy),
      ],
    }),
    lineChart({
      title: 'Tool calls per rollout',
      y: { label: 'calls' },
      curves: [trained('calls', colors.blue, (step) => step.callsPerRollout)],
    }),
    lineChart({
      title: 'Qualifying ratio',
      curves: [
        trained('rollouts', colors.blue, (step) => step.qualifyingRatio),
        trained('groups', colors.amber, (step) => step.qualifyingGroups),
      ],
    }),
  ]
}

function curve(
  name: string,
  color: string,
  points: readonly { step: number; value: number | undefined }[],
): Curve {
  const measured = points.flatMap(({ step, value }) => (value === undefined ? [] : [{ step, value }]))
  return { name, color, points: measured }
}

function describeSavings({ cost, toolSeconds }: { cost: number; toolSeconds: number }): string {
  return `Saved per 1,000 questions: tool cost ${cost.toPrecision(3)} (in the unit of the tools' costs), ${toolSeconds.toPrecision(3)} seconds in tools.`
}

function perThousand(perQuestion: number): string {
  const value = 1000 * perQuestion
  return value === 0 || value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
