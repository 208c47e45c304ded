// Results as CSV for other programs: one line per cell.
import { csvField } from '../../core/csv-field.js'
import type { CellResult } from './result.js'

const columns = [
  'setting',
  'algorithm',
  'method',
  'weight',
  'seed',
  'accuracy',
  'redundantCallRate',
  'neededCallRate',
  'callsPerRollout',
  'seconds',
  'commit',
] as const

export function resultsCsv(cells: readonly CellResult[]): string {
  const rows = cells.map(({ cell, after, seconds, provenance }) => {
    const values: Record<(typeof columns)[number], string | number | undefined> = {
      setting: cell.setting,
      algorithm: cell.algorithm.name,
      method: cell.method,
      weight: cell.weight,
      seed: cell.seed,
      accuracy: after.accuracy,
      redundantCallRate: after.redundantCallRate,
      neededCallRate: after.neededCallRate,
      callsPerRollout: after.callsPerRollout,
      seconds: Math.round(seconds),
      commit: provenance.commit,
    }
    return columns.map((column) => field(values[column]))
  })
  return [columns, ...rows].map((row) => `${row.join(',')}\n`).join('')
}

/** Six digits of a number. */
function field(value: string | number | undefined): string {
  return csvField(typeof value === 'number' ? Number(value.toPrecision(6)) : value)
}
