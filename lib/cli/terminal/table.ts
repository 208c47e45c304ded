// Plain-text tables: the first column is aligned left, the others right.
type Row = readonly (string | number)[]

export function formatTable(header: Row, rows: readonly Row[]): string {
  const lines = [header, ...rows].map((row) => row.map(String))
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  const format = (line: string[]) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  const [first, ...rest] = lines.map(format)
  return [first, rule, ...rest].join('\n')
}

export function percent(share: number | undefined, digits = 1): string {
  return share === undefined ? '-' : `${(100 * share).toFixed(digits)}%`
}

/** 75 -> '1m15s'. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole}s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes}m${String(whole % 60).padStart(2, '0')}s`
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`
}
