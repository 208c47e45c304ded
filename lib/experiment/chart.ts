// Line charts as SVG text. d3 computes scales, ticks and paths; no DOM is needed.
import { scaleLinear } from 'd3-scale'
import { line } from 'd3-shape'

export interface Series {
  name: string
  color: string
  points: { x: number; y: number }[]
}

export interface ChartOptions {
  title: string
  xLabel: string
  series: Series[]
  /** Top of the vertical axis; default: the largest value. The bottom is 0. */
  yMax?: number
  formatY?: (value: number) => string
  width?: number
  height?: number
}

const margin = { top: 34, right: 16, bottom: 40, left: 52 }

export function renderChart(options: ChartOptions): string {
  const { width = 560, height = 260, series } = options
  const points = series.flatMap((each) => each.points)
  const x = scaleLinear()
    .domain(extent(points.map((point) => point.x)))
    .range([margin.left, width - margin.right])
  const y = scaleLinear()
    .domain([0, options.yMax ?? Math.max(...points.map((point) => point.y), 1e-9)])
    .range([height - margin.bottom, margin.top])
  if (options.yMax === undefined) y.nice(5)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`,
    ` role="img" aria-label="${escapeXml(options.title)}" font-family="system-ui, sans-serif" font-size="11">`,
    `<text x="${margin.left}" y="16" font-size="13" font-weight="600" fill="#1f2937">${escapeXml(options.title)}</text>`,
    ...y.ticks(5).map((tick) => horizontalTick(tick, y(tick), width, options.formatY ?? String)),
    ...x.ticks(8).map((tick) => verticalTick(tick, x(tick), height)),
    `<text x="${(margin.left + width - margin.right) / 2}" y="${height - 6}" text-anchor="middle" fill="#6b7280">`,
    `${escapeXml(options.xLabel)}</text>`,
    ...series.map((each) => renderSeries(each, x, y)),
    series.length > 1 ? legend(series, width) : '',
    '</svg>',
  ]
  return parts.join('')
}

type Scale = (value: number) => number

function renderSeries({ points, color, name }: Series, x: Scale, y: Scale): string {
  const path = line<{ x: number; y: number }>()
    .x((point) => round(x(point.x)))
    .y((point) => round(y(point.y)))(points)
  // Few points are measurements far apart: show where they are.
  const dots =
    points.length <= 30
      ? points.map(
          (point) => `<circle cx="${round(x(point.x))}" cy="${round(y(point.y))}" r="2.5" fill="${color}"/>`,
        )
      : []
  const title = `<title>${escapeXml(name)}</title>`
  return `<g>${title}<path d="${path ?? ''}" fill="none" stroke="${color}" stroke-width="2"/>${dots.join('')}</g>`
}

function horizontalTick(value: number, at: number, width: number, format: (value: number) => string): string {
  return (
    `<line x1="${margin.left}" x2="${width - margin.right}" y1="${round(at)}" y2="${round(at)}" stroke="#e5e7eb"/>` +
    `<text x="${margin.left - 8}" y="${round(at + 4)}" text-anchor="end" fill="#6b7280">${escapeXml(format(value))}</text>`
  )
}

function verticalTick(value: number, at: number, height: number): string {
  const top = height - margin.bottom + 16
  return `<text x="${round(at)}" y="${top}" text-anchor="middle" fill="#6b7280">${value}</text>`
}

/** Right of the title, on one line, last series rightmost. */
function legend(series: readonly Series[], width: number): string {
  let right = width - margin.right
  return [...series]
    .reverse()
    .map(({ name, color }) => {
      const text = `<text x="${right}" y="16" text-anchor="end" fill="${color}">${escapeXml(name)}</text>`
      right -= 14 + name.length * 6
      return text
    })
    .join('')
}

function extent(values: number[]): [number, number] {
  if (values.length === 0) return [0, 1]
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return low === high ? [low, low + 1] : [low, high]
}

const round = (value: number) => Math.round(value * 100) / 100

export function escapeXml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, (character) => entities[character] as string)
}
