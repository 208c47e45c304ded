// Where native time went: one row per op, largest first.
import type { ProfileEntry } from '../../native/types.js'
import { formatTable, percent } from './table.js'

export function formatProfile(entries: readonly ProfileEntry[]): string {
  // 'linearLoss/matmul' is a part of 'linearLoss': it is shown, but not added twice.
  const total = entries.reduce((sum, { name, seconds }) => sum + (name.includes('/') ? 0 : seconds), 0)
  const rows = [...entries]
    .sort((a, b) => b.seconds - a.seconds)
    .map(({ name, calls, seconds, flops }) => [
      name,
      calls,
      seconds.toFixed(3),
      percent(total > 0 ? seconds / total : 0),
      flops > 0 ? (flops / seconds / 1e9).toFixed(1) : '-',
    ])
  return formatTable(
    ['op', 'calls', 'seconds', 'share', 'GFLOP/s'],
    [...rows, ['total', '', total.toFixed(3), percent(total > 0 ? 1 : 0), '']],
  )
}
