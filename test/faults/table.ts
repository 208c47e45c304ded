// The result of a campaign as Markdown.
import { cpus } from 'node:os'
import type { Tally } from './campaign.js'

/** The columns, with their headings. */
const columns = {
  tries: 'tries',
  identical: 'identical',
  refused: 'refused by name',
  taken: 'taken as it stands',
  wrong: 'wrong',
} as const
const counted = Object.keys(columns) as (keyof typeof columns)[]

/** The sums of two campaigns over the same faults. */
export function addTallies(before: readonly Tally[], now: readonly Tally[]): Tally[] {
  if (before.length === 0) return [...now]
  return now.map((tally, index) => {
    const known = before[index] as Tally
    const notes = [...known.notes]
    for (const note of tally.notes) {
      const at = notes.findIndex(({ kind, why }) => kind === note.kind && why === note.why)
      if (at < 0) notes.push(note)
      else
        notes[at] = {
          ...note,
          index: (notes[at] as typeof note).index,
          count: (notes[at] as typeof note).count + note.count,
        }
    }
    const sums = counted.map((name) => [name, known[name] + tally[name]] as const)
    return { ...tally, ...Object.fromEntries(sums), notes }
  })
}

export function formatCampaign(
  tallies: readonly Tally[],
  { seed, minutes }: { seed: number; minutes: number },
): string {
  const rows = tallies.map((tally) => [tally.name, ...counted.map((name) => tally[name])])
  const all = ['all', ...counted.map((name) => tallies.reduce((sum, tally) => sum + tally[name], 0))]
  const wrong = tallies.flatMap(({ name, notes }) =>
    notes
      .filter(({ kind }) => kind === 'wrong')
      .map(({ why, index, count }) => `- ${name}, try ${index} (${count} times): ${why}`),
  )
  return [
    `Seed ${seed}, ${minutes.toFixed(1)} minutes, ${cpus().length} cores of ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}.`,
    '',
    markdownTable(['fault', ...Object.values(columns)], [...rows, all]),
    ...(wrong.length > 0 ? ['', 'Wrong:', '', ...wrong] : []),
  ].join('\n')
}

/** The first column is aligned left, the others right. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
  return [
    line(header),
    line(header.map((_, column) => (column === 0 ? '---' : '---:'))),
    ...rows.map(line),
  ].join('\n')
}
