// The HTML page around a report's tables and charts: one file without scripts or external references.
import { escapeXml } from './plot.js'

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

/** `body` is the HTML below the heading. */
export function renderPage(title: string, body: readonly string[]): string {
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
${body.join('\n')}
</body>
</html>
`
}

export const figure = (svg: string): string => `<figure>${svg}</figure>`

interface TableRow {
  cells: readonly string[]
  class?: string
}

export function htmlTable(header: readonly string[], rows: readonly TableRow[]): string {
  const row = (tag: string, { cells, class: name }: TableRow) =>
    `<tr${name === undefined ? '' : ` class="${name}"`}>` +
    `${cells.map((cell) => `<${tag}>${escapeXml(cell)}</${tag}>`).join('')}</tr>`
  return `<div class="wide"><table>
${[row('th', { cells: header }), ...rows.map((each) => row('td', each))].join('\n')}
</table></div>`
}

/** 0.123 -> '12.3%'; '-' for a value that was not measured. */
export function percent(share: number | undefined): string {
  return share === undefined ? '-' : `${(100 * share).toFixed(1)}%`
}
