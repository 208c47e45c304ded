// What all charts share: size, axes, legend. Charts are SVG text; d3 computes scales and ticks, and no DOM is needed.
import { scaleLinear, scaleSqrt } from 'd3-scale'

interface Axis {
  label: string
  domain: [number, number]
  /** Positions of the ticks. Default: those that the scale chooses. */
  ticks?: number[]
  format?: (value: number) => string
  /** Use a square-root scale, which spreads small values. */
  squareRoot?: boolean
  /** Extend the domain to round numbers. */
  nice?: boolean
}

export interface PlotOptions {
  title: string
  width?: number
  height?: number
  x: Axis
  y: Axis
  legend: { name: string; color: string }[]
}

export interface Plot {
  width: number
  height: number
  x: (value: number) => number
  y: (value: number) => number
  /** The whole SVG, with `marks` inside the axes. */
  wrap(marks: string): string
}

const margin = { top: 30, right: 16, bottom: 42, left: 60 }
const legendLine = 16

// Colour-blind safe (Okabe and Ito), and dark enough on white.
const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#9a6b00', '#3a3a3a', '#56b4e9', '#8a8a00']

/** One colour per name, in the order of the names. */
export function colorsFor(names: readonly string[]): Map<string, string> {
  return new Map([...new Set(names)].map((name, index) => [name, palette[index % palette.length] as string]))
}

/** Shades from light to dark, for the weights of one method. */
export function shadesFor(count: number): string[] {
  const shades = ['#9ecae1', '#6baed6', '#3182bd', '#08519c', '#54278f', '#3f007d']
  return Array.from({ length: count }, (_, index) => {
    const at = count === 1 ? 2 : Math.round((index * (shades.length - 1)) / (count - 1))
    return shades[at] as string
  })
}

export function createPlot(options: PlotOptions): Plot {
  const { width = 560, height = 320 } = options
  const rows = legendRows(options.legend, width)
  const top = margin.top + rows.length * legendLine
  const scaleX = scaleOf(options.x, [margin.left, width - margin.right])
  const scaleY = scaleOf(options.y, [height - margin.bottom, top])
  return {
    width,
    height,
    x: (value) => round(scaleX(value)),
    y: (value) => round(scaleY(value)),
    wrap: (marks) => {
      const area = { left: margin.left, right: width - margin.right, top, bottom: height - margin.bottom }
      return [
        svgOpen(options.title, width, height),
        yTicks(options.y, scaleY, area),
        xTicks(options.x, scaleX, area),
        axisLabels(options, area, height),
        ...rows.map((row, index) => legendRow(row, margin.top + index * legendLine)),
        marks,
        '</svg>',
      ].join('\n')
    },
  }
}

export function svgOpen(title: string, width: number, height: number): string {
  const text = escapeXml(title)
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"` +
    ` role="img" aria-label="${text}" font-family="system-ui, sans-serif" font-size="11"><title>${text}</title>` +
    `<rect width="${width}" height="${height}" fill="#ffffff"/>` +
    `<text x="14" y="19" font-size="13" font-weight="600" fill="#1f2937">${text}</text>`
  )
}

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

export const round = (value: number): number => Math.round(value * 100) / 100

export const formatPercent = (value: number): string => `${Math.round(value * 1000) / 10}%`

type Scale = ((value: number) => number) & { ticks(count?: number): number[] }

function scaleOf({ domain, squareRoot, nice }: Axis, range: [number, number]): Scale {
  const scale = (squareRoot ? scaleSqrt() : scaleLinear()).domain(domain).range(range)
  return nice ? scale.nice(5) : scale
}

interface Area {
  left: number
  right: number
  top: number
  bottom: number
}

function yTicks({ ticks, format = String }: Axis, scale: Scale, { left, right }: Area): string {
  return (ticks ?? scale.ticks(5))
    .map((tick) => {
      const at = round(scale(tick))
      return (
        `<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" stroke="#e5e7eb"/>` +
        `<text x="${left - 7}" y="${at + 4}" text-anchor="end" fill="#4b5563">${escapeXml(format(tick))}</text>`
      )
    })
    .join('')
}

function xTicks({ ticks, format = String }: Axis, scale: Scale, { bottom }: Area): string {
  return (ticks ?? scale.ticks(6))
    .map((tick) => {
      const at = round(scale(tick))
      return (
        `<line x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 4}" stroke="#9ca3af"/>` +
        `<text x="${at}" y="${bottom + 16}" text-anchor="middle" fill="#4b5563">${escapeXml(format(tick))}</text>`
      )
    })
    .join('')
}

function axisLabels({ x, y }: PlotOptions, { left, right, top, bottom }: Area, height: number): string {
  const middle = round((top + bottom) / 2)
  return (
    `<text x="${(left + right) / 2}" y="${height - 8}" text-anchor="middle" fill="#4b5563">${escapeXml(x.label)}</text>` +
    `<text transform="translate(13 ${middle}) rotate(-90)" text-anchor="middle" fill="#4b5563">${escapeXml(y.label)}</text>`
  )
}

type PlacedEntry = PlotOptions['legend'][number] & { x: number }

/** Breaks the legend into rows, with as many entries per row as fit. */
function legendRows(legend: PlotOptions['legend'], width: number): PlacedEntry[][] {
  const rows: PlacedEntry[][] = []
  let x = Number.POSITIVE_INFINITY
  for (const entry of legend) {
    const entryWidth = 24 + entry.name.length * 6.2
    if (x + entryWidth > width - margin.right) {
      rows.push([])
      x = margin.left
    }
    rows.at(-1)?.push({ ...entry, x })
    x += entryWidth
  }
  return rows
}

function legendRow(entries: readonly PlacedEntry[], y: number): string {
  return entries
    .map(
      ({ name, color, x }) =>
        `<rect x="${x}" y="${y}" width="9" height="9" fill="${color}"/>` +
        `<text x="${x + 13}" y="${y + 9}" fill="#1f2937">${escapeXml(name)}</text>`,
    )
    .join('')
}
