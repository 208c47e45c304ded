// report.html of a comparison.
import { stringify as stringifyYaml } from 'yaml'
import { figure, htmlTable, percent, renderPage } from '../charts/page.js'
import { escapeXml, formatPercent } from '../charts/plot.js'
import { callRatesChart, curriculumChart, paretoChart, weightCurvesChart } from './charts.js'
import type { FinishedResults } from './compare.js'
import type { Grid } from './grid.js'
import { rangeChart } from './range-chart.js'
import type { CellResult } from './result.js'
import { type Arm, armsOf, type Estimate, estimateOf, reachOf } from './statistics.js'

interface CompareReport {
  title: string
  grid: Grid
  results: FinishedResults
}

export function renderCompareReport({ title, grid, results }: CompareReport): string {
  const arms = armsOf(results.cells, results.starts)
  const settings = [...new Set(arms.map(({ setting }) => setting))]
  return renderPage(title, [
    `<p class="facts">${escapeXml(describeFacts(grid, results))}</p>`,
    describeMissing(results.missing),
    '<h2>Weights that reach the targets</h2>',
    figure(rangeChart('Weights that reach the targets', arms, grid.targets)),
    ...settings.map((setting) => settingSection(setting, arms, { grid, results })),
    '<h2>Grid</h2>',
    `<pre>${escapeXml(stringifyYaml(grid, { aliasDuplicateObjects: false }))}</pre>`,
    '<h2>Made with</h2>',
    `<ul>${list(provenances(results.cells))}</ul>`,
  ])
}

function settingSection(
  setting: string,
  allArms: readonly Arm[],
  { grid, results }: Pick<CompareReport, 'grid' | 'results'>,
): string {
  const arms = allArms.filter((arm) => arm.setting === setting)
  const methods = [...new Set(arms.map(({ method }) => method))]
  const ofMethod = (method: string) => arms.filter((arm) => arm.method === method)
  const curves = methods.flatMap((method) => [
    weightCurvesChart(`${method}: redundant calls`, ofMethod(method), 'redundantCallRate'),
    weightCurvesChart(`${method}: needed calls`, ofMethod(method), 'neededCallRate'),
  ])
  const example = arms.find((arm) => arm.method.startsWith('hdpo') && arm.weight === 0.15)
  return [
    `<h2>Setting: ${escapeXml(setting)}</h2>`,
    figure(paretoChart('Accuracy against calls', arms, results.starts)),
    figure(callRatesChart('Redundant calls against needed ones', arms, grid.targets)),
    resultTable(arms, grid),
    ...(example ? [figure(curriculumChart(`The curriculum of ${example.label}`, example))] : []),
    ...curves.map(figure),
  ].join('\n')
}

function resultTable(arms: readonly Arm[], grid: Grid): string {
  const header = [
    'method',
    'seeds',
    'accuracy',
    'redundant calls',
    'needed calls',
    'needed calls kept',
    'calls per rollout',
    'targets reached',
  ]
  const rows = arms.map((arm) => {
    const { seeds, reached, onAverage } = reachOf(arm, grid.targets)
    const cells = [
      arm.label,
      String(seeds),
      formatEstimate(estimateOf(arm, 'accuracy'), percent),
      formatEstimate(estimateOf(arm, 'redundantCallRate'), percent),
      formatEstimate(estimateOf(arm, 'neededCallRate'), percent),
      formatEstimate(estimateOf(arm, 'neededCallsKept'), percent),
      formatEstimate(estimateOf(arm, 'callsPerRollout'), (value) => value.toFixed(2)),
      `${reached} of ${seeds}`,
    ]
    return { cells, ...(onAverage && { class: 'reached' }) }
  })
  return htmlTable(header, rows)
}

/** '1.2% [0.4%, 2.0%]'; with one seed there is no interval. */
function formatEstimate(estimate: Estimate | undefined, format: (value: number) => string): string {
  if (!estimate) return '-'
  const { mean, low, high } = estimate
  return low === high ? format(mean) : `${format(mean)} [${format(low)}, ${format(high)}]`
}

function describeFacts({ targets, evaluation }: Grid, { starts, cells }: FinishedResults): string {
  const questions = starts.map(
    ({ seed, knownQuestions, neededQuestions }) =>
      `seed ${seed}: ${knownQuestions} known, ${neededQuestions} needed`,
  )
  return (
    `${cells.length} runs. Targets: at most ${formatPercent(targets.redundantCallRate)} of rollouts on known questions call a tool, ` +
    `and on needed ones at least ${formatPercent(targets.neededCallsKept)} of those that did before training still do. Known: right ${evaluation.knownSamples} times of ` +
    `${evaluation.knownSamples} without tools before training; needed: never right. Held-out questions, ${evaluation.samples} rollouts each (` +
    `${questions.join('; ')}). Intervals: 95% bootstrap over seeds, so with few seeds they say how far seeds differ, no more. ` +
    'Green rows reach both targets on average.'
  )
}

function describeMissing(missing: readonly string[]): string {
  if (missing.length === 0) return ''
  return `<details><summary>Not finished: ${missing.length} of the grid's runs</summary><ul>${list(missing)}</ul></details>`
}

function provenances(cells: readonly CellResult[]): string[] {
  const lines = cells.map(({ provenance: { version, commit, node, processor } }) =>
    [`hdpo ${version}`, ...(commit ? [`commit ${commit}`] : []), `Node ${node}`, processor].join(', '),
  )
  return [...new Set(lines)]
}

const list = (lines: readonly string[]): string => lines.map((line) => `<li>${escapeXml(line)}</li>`).join('')
