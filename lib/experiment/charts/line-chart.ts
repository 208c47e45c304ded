// Charts values over the steps of a run, each with a band where the spread is known.
import { area, line } from 'd3-shape'
import { createPlot, formatPercent, type Plot, type PlotOptions } from './plot.js'

export interface Curve {
  name: string
  color: string
  points: CurvePoint[]
}

export interface CurvePoint {
  step: number
  value: number
  /** Bounds of the band around the value. */
  low?: number
  high?: number
}

interface LineChartOptions extends Pick<PlotOptions, 'title' | 'width' | 'height'> {
  curves: readonly Curve[]
  /** The y axis, which begins at 0. Default: shares, 0 to 1 as percentages. */
  y?: { label: string; format?: (value: number) => string }
}

export function lineChart({ curves, y, ...plotOptions }: LineChartOptions): string {
  const points = curves.flatMap((curve) => curve.points)
  const last = Math.max(1, ...points.map(({ step }) => step))
  const top = Math.max(1e-9, ...points.map(({ value, high = value }) => high))
  const plot = createPlot({
    height: 260,
    ...plotOptions,
    x: { label: 'step', domain: [0, last] },
    y: y ? { ...y, domain: [0, top], nice: true } : { label: 'share', domain: [0, 1], format: formatPercent },
    legend: curves.map(({ name, color }) => ({ name, color })),
  })
  return plot.wrap(curves.map((curve) => curveMarks(plot, curve)).join(''))
}

function curveMarks(plot: Plot, { color, points }: Curve): string {
  const x = ({ step }: CurvePoint) => plot.x(step)
  const path = line<CurvePoint>()
    .x(x)
    .y(({ value }) => plot.y(value))(points)
  return (
    (points.some(({ low }) => low !== undefined) ? band(plot, color, points) : dots(plot, color, points)) +
    `<path d="${path ?? ''}" fill="none" stroke="${color}" stroke-width="1.8"/>`
  )
}

function band(plot: Plot, color: string, points: readonly CurvePoint[]): string {
  const path = area<CurvePoint>()
    .x(({ step }) => plot.x(step))
    .y0(({ value, low = value }) => plot.y(low))
    .y1(({ value, high = value }) => plot.y(high))([...points])
  return `<path d="${path ?? ''}" fill="${color}" fill-opacity="0.15"/>`
}

/** Dots where there are few points: those are measurements far apart. */
function dots(plot: Plot, color: string, points: readonly CurvePoint[]): string {
  if (points.length > 30) return ''
  return points
    .map(({ step, value }) => `<circle cx="${plot.x(step)}" cy="${plot.y(value)}" r="2.5" fill="${color}"/>`)
    .join('')
}
