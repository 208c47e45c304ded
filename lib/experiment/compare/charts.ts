// The charts of a comparison: where methods end up, how they get there, and which weights work.
import { type Curve, lineChart } from '../charts/line-chart.js'
import {
  colorsFor,
  createPlot,
  escapeXml,
  formatPercent,
  type Plot,
  round,
  shadesFor,
} from '../charts/plot.js'
import type { Targets } from './grid.js'
import type { StartResult } from './result.js'
import {
  type Arm,
  type ComparedMeasures,
  type CurvePoint,
  curveOfArm,
  estimateOf,
  type MeasureName,
  trainingCurve,
} from './statistics.js'

/** Final accuracy against calls, one point per arm with both intervals; crosses are the policies before training. */
export function paretoChart(title: string, arms: readonly Arm[], starts: readonly StartResult[]): string {
  const before = starts.map(({ before: { accuracy, callsPerRollout } }) => ({
    x: callsPerRollout,
    y: accuracy,
  }))
  const points = arms.flatMap((arm) => pointOf(arm, 'callsPerRollout', 'accuracy'))
  const xs = [...before.map(({ x }) => x), ...points.flatMap(({ x }) => [x.low, x.high])]
  const ys = [...before.map(({ y }) => y), ...points.flatMap(({ y }) => [y.low, y.high])]
  const colors = colorsFor(arms.map(({ method }) => method))
  const plot = createPlot({
    title,
    x: { label: 'tool calls per rollout', domain: padded(xs, 0, Number.POSITIVE_INFINITY) },
    y: { label: 'accuracy, held-out questions', domain: padded(ys, 0, 1), format: formatPercent },
    legend: [...colors].map(([name, color]) => ({ name, color })),
  })
  const crosses = before.map(({ x, y }) => cross(plot.x(x), plot.y(y))).join('')
  return plot.wrap(crosses + points.map((point) => marks(plot, point, colors)).join(''))
}

/** Share of needed calls kept against redundant call rate; the shaded corner shows the targets. */
export function callRatesChart(title: string, arms: readonly Arm[], targets: Targets): string {
  const points = arms.flatMap((arm) => pointOf(arm, 'redundantCallRate', 'neededCallsKept'))
  // Above 1 where training made the policy call where it should have called before.
  const highest = Math.max(1.05, ...points.map(({ y }) => y.high + 0.02))
  const colors = colorsFor(arms.map(({ method }) => method))
  const plot = createPlot({
    title,
    x: {
      label: 'redundant calls (known questions; square-root scale)',
      domain: [0, 1],
      ticks: [0, 0.02, 0.1, 0.25, 0.5, 1],
      format: formatPercent,
      squareRoot: true,
    },
    y: {
      label: 'needed calls kept',
      domain: [0, highest],
      ticks: [0, 0.25, 0.5, 0.75, 1],
      format: formatPercent,
    },
    legend: [...colors].map(([name, color]) => ({ name, color })),
  })
  const [left, right] = [plot.x(0), plot.x(targets.redundantCallRate)]
  const [top, bottom] = [plot.y(highest), plot.y(targets.neededCallsKept)]
  const goal = `<rect x="${left}" y="${top}" width="${round(right - left)}" height="${round(bottom - top)}" fill="#bbf7d0"/>`
  return plot.wrap(goal + points.map((point) => marks(plot, point, colors)).join(''))
}

/** The curves of one method, one line per weight with its band over seeds. */
export function weightCurvesChart(title: string, arms: readonly Arm[], name: MeasureName): string {
  const shades = shadesFor(arms.length)
  return curvesChart(
    title,
    arms.map((arm, index) =>
      curve(
        arm.weight === undefined ? arm.method : String(arm.weight),
        shades[index] as string,
        curveOfArm(arm, name),
      ),
    ),
  )
}

/** In which steps the accuracy channel and the efficiency channel have something to train on. */
export function curriculumChart(title: string, arm: Arm): string {
  return curvesChart(title, [
    curve('qualifying ratio', '#0072b2', trainingCurve(arm, 'qualifyingRatio')),
    curve('training accuracy', '#9a6b00', trainingCurve(arm, 'accuracy')),
    curve('redundant calls', '#d55e00', curveOfArm(arm, 'redundantCallRate')),
    curve('needed calls', '#009e73', curveOfArm(arm, 'neededCallRate')),
  ])
}

const curvesChart = (title: string, curves: readonly Curve[]): string =>
  lineChart({ title, curves, width: 420, height: 250 })

function curve(name: string, color: string, points: readonly CurvePoint[]): Curve {
  return { name, color, points: points.map(({ mean, ...rest }) => ({ ...rest, value: mean })) }
}

function pointOf(arm: Arm, xName: keyof ComparedMeasures, yName: keyof ComparedMeasures) {
  const [x, y] = [estimateOf(arm, xName), estimateOf(arm, yName)]
  return x && y ? [{ arm, x, y }] : []
}

/** A dot, whose size shows the rank of the weight, and both intervals. */
function marks(
  plot: Plot,
  { arm, x, y }: ReturnType<typeof pointOf>[number],
  colors: ReadonlyMap<string, string>,
): string {
  const color = colors.get(arm.method) ?? '#000000'
  const [cx, cy] = [plot.x(x.mean), plot.y(y.mean)]
  return (
    `<g stroke="${color}" fill="${color}"><title>${escapeXml(arm.label)}</title>` +
    `<line x1="${plot.x(x.low)}" x2="${plot.x(x.high)}" y1="${cy}" y2="${cy}" stroke-opacity="0.5"/>` +
    `<line x1="${cx}" x2="${cx}" y1="${plot.y(y.low)}" y2="${plot.y(y.high)}" stroke-opacity="0.5"/>` +
    `<circle cx="${cx}" cy="${cy}" r="4" fill-opacity="0.8"/>` +
    (arm.weight === undefined
      ? ''
      : `<text x="${cx + 6}" y="${cy - 4}" font-size="9" stroke="#ffffff" stroke-width="2.5" paint-order="stroke">${arm.weight}</text>`) +
    '</g>'
  )
}

function cross(x: number, y: number): string {
  return `<path d="M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}" stroke="#6b7280" stroke-width="1.5"><title>before</title></path>`
}

function padded(values: readonly number[], lowest: number, highest: number): [number, number] {
  if (values.length === 0) return [0, 1]
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const pad = Math.max(0.02, (high - low) * 0.08)
  return [Math.max(lowest, low - pad), Math.min(highest, high + pad)]
}
