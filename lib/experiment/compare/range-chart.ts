// Charts the range of weights at which a method reaches the targets. That range matters in practice, because nobody knows the
// right weight beforehand.
import { scaleLog } from 'd3-scale'
import { escapeXml, formatPercent, round, svgOpen } from '../charts/plot.js'
import type { Targets } from './grid.js'
import { type Arm, estimateOf, reachOf } from './statistics.js'

const rowHeight = 46
const left = 210
const right = 24
const width = 860

/** One row per method and setting, one disc per weight, filled by the share of seeds that reach the targets. */
export function rangeChart(title: string, arms: readonly Arm[], targets: Targets): string {
  const weighted = arms.filter(({ weight }) => weight !== undefined && weight > 0)
  const weights = weighted.map(({ weight }) => weight as number)
  const x = scaleLog()
    .domain([Math.min(...weights, 0.05) * 0.8, Math.max(...weights, 1) * 1.25])
    .range([left, width - right])
  const settings = [...new Set(weighted.map(({ setting }) => setting))]
  const methods = [...new Set(weighted.map(({ method }) => method))]
  const parts: string[] = []
  let y = 90
  for (const setting of settings) {
    parts.push(heading(setting, y - 22))
    for (const method of methods) {
      const row = weighted.filter((arm) => arm.setting === setting && arm.method === method)
      if (row.length === 0) continue
      parts.push(rangeRow(method, row, { y, x, targets }))
      y += rowHeight
    }
    y += 26
  }
  const height = y + 26
  const ticks = [...new Set(weights)].sort((a, b) => a - b)
  return [
    svgOpen(title, width, height),
    `<text x="14" y="36" fill="#4b5563">${escapeXml(explanation(targets))}</text>`,
    ...ticks.map((tick) => {
      const at = round(x(tick))
      return `<text x="${at}" y="${height - 22}" text-anchor="middle" fill="#4b5563">${tick}</text>`
    }),
    `<text x="${(left + width - right) / 2}" y="${height - 6}" text-anchor="middle" fill="#4b5563">weight of the method (log scale)</text>`,
    ...parts,
    '</svg>',
  ].join('\n')
}

function explanation({ redundantCallRate, neededCallsKept }: Targets): string {
  return (
    `Green: share of seeds with at most ${formatPercent(redundantCallRate)} redundant calls and at least ` +
    `${formatPercent(neededCallsKept)} of needed calls kept. Below each, on average: redundant / kept.`
  )
}

interface RowPlace {
  y: number
  x: (value: number) => number
  targets: Targets
}

function rangeRow(method: string, arms: readonly Arm[], { y, x, targets }: RowPlace): string {
  const sorted = [...arms].sort((a, b) => (a.weight as number) - (b.weight as number))
  const spans = reachedRuns(sorted, targets).map((run) => {
    const [from, to] = [x(run[0]?.weight as number) - 12, x(run.at(-1)?.weight as number) + 12]
    return `<line x1="${round(from)}" x2="${round(to)}" y1="${y}" y2="${y}" stroke="#86efac" stroke-width="20" stroke-linecap="round"/>`
  })
  return [
    `<text x="${left - 24}" y="${y + 4}" text-anchor="end" fill="#1f2937">${escapeXml(method)}</text>`,
    `<line x1="${left - 10}" x2="${width - right}" y1="${y}" y2="${y}" stroke="#e5e7eb"/>`,
    ...spans,
    ...sorted.map((arm) => disc(arm, round(x(arm.weight as number)), y, targets)),
  ].join('')
}

/** Runs of neighbouring weights that all reach the targets on average. */
function reachedRuns(sorted: readonly Arm[], targets: Targets): Arm[][] {
  const runs: Arm[][] = []
  let open = false
  for (const arm of sorted) {
    const reached = reachOf(arm, targets).onAverage
    if (reached && !open) runs.push([])
    if (reached) runs.at(-1)?.push(arm)
    open = reached
  }
  return runs
}

/** A disc, filled like a pie chart of two parts. */
function disc(arm: Arm, cx: number, cy: number, targets: Targets): string {
  const { seeds, reached } = reachOf(arm, targets)
  const radius = 7
  const share = reached / Math.max(seeds, 1)
  const angle = 2 * Math.PI * share
  const [endX, endY] = [round(cx + radius * Math.sin(angle)), round(cy - radius * Math.cos(angle))]
  const filled =
    share >= 1
      ? `<circle cx="${cx}" cy="${cy}" r="${radius}" fill="#15803d"/>`
      : share > 0
        ? `<path d="M${cx} ${cy}L${cx} ${cy - radius}A${radius} ${radius} 0 ${share > 0.5 ? 1 : 0} 1 ${endX} ${endY}Z" fill="#15803d"/>`
        : ''
  const rates = (['redundantCallRate', 'neededCallsKept'] as const).map((name) => {
    const mean = estimateOf(arm, name)?.mean
    return mean === undefined ? '-' : (100 * mean).toFixed(1)
  })
  return (
    `<g><title>${escapeXml(`${arm.label}: ${reached} of ${seeds} seeds`)}</title>` +
    `<circle cx="${cx}" cy="${cy}" r="${radius}" fill="#ffffff" stroke="#374151" stroke-width="1.2"/>${filled}` +
    `<text x="${cx}" y="${cy + 20}" text-anchor="middle" font-size="8.5" fill="#4b5563">${rates.join(' / ')}</text></g>`
  )
}

function heading(setting: string, y: number): string {
  return `<text x="14" y="${y}" font-weight="600" fill="#1f2937">${escapeXml(setting)}</text>`
}
