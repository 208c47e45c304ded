// report.html of a comparison: one file without scripts or outside references.
import { stringify as stringifyYaml } from 'yaml'
import { callRatesChart, curriculumChart, paretoChart, weightCurvesChart } from './charts.js'
import type { FinishedResults } from './compare.js'
import type { Grid } from './grid.js'
import { escapeXml, formatPercent } from './plot.js'
import { rangeChart } from './range-chart.js'
import type { CellResult } from './result.js'
import { type Arm, armsOf, type Estimate, estimateOf, reachOf } from './statistics.js'

export interface CompareReport {
  title: string
  grid: Grid
  results: FinishedResults
}

const style = `
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1180px; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e5e7eb; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
figure { display: inline-block; margin: .5rem .5rem 0 0; border: 1px solid #e5e7eb; border-radius: 6px }
figure svg { max-width: 100%; height: auto; display: block }
.reached { background: #dcfce7 }
.wide { overflow-x: auto }
pre { background: #f9fafb; padding: 1rem; overflow-x: auto; font-size: 12px }
.facts { color: #4b5563 }`

export function renderCompareReport({ title, grid, results }: CompareReport): string {
  const arms = armsOf(results.cells, results.starts)
  const settings = [...new Set(arms.map(({ setting }) => setting))]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeXml(title)}</h1>
<p class="facts">${escapeXml(describeFacts(grid, results))}</p>
${describeMissing(results.missing)}
<h2>Weights that reach the targets</h2>
${figure(rangeChart('Weights that reach the targets', arms, grid.targets))}
${settings.map((setting) => settingSection(setting, arms, { grid, results })).join('\n')}
<h2>Grid</h2>
<pre>${escapeXml(stringifyYaml(grid, { aliasDuplicateObjects: false }))}</pre>
<h2>Made with</h2>
<ul>${provenances(results.cells)
    .map((line) => `<li>${escapeXml(line)}</li>`)
    .join('')}</ul>
</body>
</html>
`
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
    return `<tr${onAverage ? ' class="reached"' : ''}>${cells.map((cell) => `<td>${escapeXml(cell)}</td>`).join('')}</tr>`
  })
  return `<div class="wide"><table>
<tr>${header.map((cell) => `<th>${escapeXml(cell)}</th>`).join('')}</tr>
${rows.join('\n')}
</table></div>`
}

/** '1.2% [0.4%, 2.0%]'; one seed has no interval. */
function formatEstimate(estimate: Estimate | undefined, format: (value: number) => string): string {
  if (!estimate) return '-'
  const { mean, low, high } = estimate
  return low === high ? format(mean) : `${format(mean)} [${format(low)}, ${format(high)}]`
}

const percent = (value: number): string => `${(100 * value).toFixed(1)}%`

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
  const items = missing.map((id) => `<li>${escapeXml(id)}</li>`).join('')
  return `<details><summary>Not finished: ${missing.length} of the grid's runs</summary><ul>${items}</ul></details>`
}

function provenances(cells: readonly CellResult[]): string[] {
  const lines = cells.map(({ provenance: { version, commit, node, processor } }) =>
    [`hdpo ${version}`, ...(commit ? [`commit ${commit}`] : []), `Node ${node}`, processor].join(', '),
  )
  return [...new Set(lines)]
}

const figure = (svg: string): string => `<figure>${svg}</figure>`
