// One uPlot chart per curve. A chart is kept while its series stay the same: new steps are added to it, and it is not built anew.

import { percent, short } from '/format.js'
import uPlot from '/library/uplot.js'
import { colourOf, state, theme } from '/state.js'

const dashes = [[], [5, 4], [1.5, 3], [8, 3, 2, 3]]
const sync = uPlot.sync('steps')
const drawn = new Map()

/** The lines of a curve for the chosen runs: colour, dash, data. Empty where no run has data for it. */
export function linesOf(curve, runs) {
  const lines = runs.flatMap((run) =>
    definitions(curve, run).map((series, index) => lineOf(series, index, run, runs)),
  )
  if (curve.hideZero && lines.every(({ raw }) => raw.every((value) => value === 0))) return []
  return lines.filter(({ steps }) => steps.length > 0)
}

function definitions({ series, otherwise = [] }, run) {
  const has = ({ name }) => (state.series.get(run)?.[name]?.steps.length ?? 0) > 0
  const found = series.filter(has)
  return found.length > 0 ? found : otherwise.filter(has)
}

function lineOf({ name, per, label, channel, sparse }, index, run, runs) {
  const data = state.series.get(run)
  const { steps, values } = data[name]
  const divisors = per
    ? new Map(data[per].steps.map((step, place) => [step, data[per].values[place]]))
    : undefined
  // The divisor is 0 for a step in which nothing could be graded; the value is 0 too.
  const shown = divisors ? values.map((value, place) => value / (divisors.get(steps[place]) || 1)) : values
  const alone = runs.length === 1
  return {
    label,
    run,
    channel,
    sparse: sparse === true,
    steps,
    values: sparse ? shown : smooth(shown, state.smoothing),
    raw: shown,
    // With one run a line has its channel's accent; with several it has its run's colour, and the dash tells the series apart.
    colour: alone ? (channel ? `--${channel}` : index === 0 ? '--ink' : '--muted') : `--run-${colourOf(run)}`,
    dash: dashes[alone && channel ? 0 : index % dashes.length],
  }
}

/** Exponential moving average with bias correction for its first values. */
function smooth(values, weight) {
  let mean = 0
  let total = 0
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value
    total = weight * total + (1 - weight)
    return mean / total
  })
}

/** Draws into `element`, and calls `onCursor` with the index in `steps` under the cursor (undefined: none). */
export function draw(element, curve, lines, onCursor) {
  const key = JSON.stringify([theme(), lines.map(({ label, run, colour }) => [label, run, colour])])
  const data = align(lines)
  const chart = drawn.get(element)
  if (chart?.key === key) {
    chart.plot.setData(data)
    return
  }
  chart?.plot.destroy()
  chart?.observer.disconnect()
  const plot = new uPlot(options(element, curve, lines, onCursor), data, element)
  const observer = new ResizeObserver(() =>
    plot.setSize({ width: element.clientWidth, height: element.clientHeight }),
  )
  observer.observe(element)
  drawn.set(element, { key, plot, observer })
}

/** Destroys the charts of elements that have left the page. */
export function forgetGone() {
  for (const [element, { plot, observer }] of drawn) {
    if (element.isConnected) continue
    observer.disconnect()
    plot.destroy()
    drawn.delete(element)
  }
}

function align(lines) {
  // Raw values come first, so that they are drawn below the smoothed ones.
  const all = [
    ...lines.map(({ steps, raw }) => [steps, raw]),
    ...lines.map(({ steps, values }) => [steps, values]),
  ]
  return uPlot.join(all)
}

function options(element, curve, lines, onCursor) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name) && resolved(name)
  const format = curve.share ? percent : short
  const several = new Set(lines.map(({ run }) => run)).size > 1
  const axis = {
    stroke: colour('--faint'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  }
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: sync.key }, points: { size: 6 }, y: false, drag: { x: true, y: false } },
    scales: { x: { time: false }, y: { range: (_plot, low, high) => yRange(low, high, curve.share) } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 60 },
      {
        ...axis,
        size: 44,
        space: 28,
        values: (_plot, splits) =>
          splits.map((split) =>
            format(split)
              .replace(/(\.\d*?)0+(?=%?$)/, '$1')
              .replace(/\.(?=%?$)/, ''),
          ),
      },
    ],
    series: [
      {},
      ...lines.map(({ colour: name, sparse }) => ({
        stroke: colour(name),
        width: sparse ? 0 : 1,
        alpha: several || sparse ? 0 : 0.22,
        points: { show: false },
        spanGaps: true,
      })),
      ...lines.map(({ colour: name, dash, sparse }) => ({
        stroke: colour(name),
        width: 1.6,
        dash,
        spanGaps: true,
        points: sparse ? { show: true, size: 5, fill: colour(name) } : { show: false },
      })),
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? undefined, plot.data)] },
  }
}

function yRange(low, high, share) {
  if (low === null || high === null) return [0, 1]
  if (low === high)
    return [low === 0 ? 0 : low - Math.abs(low) * 0.1, high === 0 ? 1 : high + Math.abs(high) * 0.1]
  const room = (high - low) * 0.08
  const bottom = low >= 0 && low - room < 0 ? 0 : low - room
  return [bottom, share ? Math.min(high + room, Math.max(1, high)) : high + room]
}

/** Resolves a CSS variable, which a canvas does not know. */
function resolved(name) {
  const probe = document.createElement('i')
  probe.style.color = `var(${name})`
  document.body.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}
