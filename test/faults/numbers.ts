// The numbers of a finished run, clocks apart: two runs are identical where these are equal.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMetrics } from '../../lib/run/metrics-file.js'
import { RunStore } from '../../lib/run/store/run-store.js'

export interface RunNumbers {
  /** SHA-256 of the weights that were saved at the end. */
  weights: string
  /** A line of JSON for each step. */
  metrics: string[]
  /** SHA-256 of each step's rollouts. */
  rollouts: string[]
  /** Steps and rollouts that the index has. */
  indexed: string
}

const clocks = new Set(['seconds', 'tokensPerSecond', 'engineIdleShare', 'milliseconds'])
const withoutClocks = (key: string, value: unknown): unknown => (clocks.has(key) ? undefined : value)
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

export async function numbersOf(run: string): Promise<RunNumbers> {
  const folder = join(run, 'rollouts')
  const names = (await readdir(folder)).sort()
  const rollouts = await Promise.all(
    names.map(async (name) => {
      const lines = (await readFile(join(folder, name), 'utf8')).trimEnd().split('\n')
      return `${name} ${sha256(lines.map(lineWithoutClocks).join('\n'))}`
    }),
  )
  return {
    weights: sha256(await readFile(join(run, 'policy', 'model.safetensors'))),
    metrics: (await readMetrics(run)).map((metrics) => JSON.stringify(metrics, withoutClocks)),
    rollouts,
    indexed: indexed(run),
  }
}

/** A line that is no JSON stays as it is: it differs from what was written. */
function lineWithoutClocks(line: string): string {
  try {
    return JSON.stringify(JSON.parse(line, withoutClocks))
  } catch {
    return line
  }
}

function indexed(run: string): string {
  const store = RunStore.open(run)
  try {
    store.updateAll()
    return `${store.lastStep()} steps, ${store.rolloutCount()} rollouts`
  } finally {
    store.database.close()
  }
}

/** The first difference in words; undefined where there is none. */
export function difference(expected: RunNumbers, found: RunNumbers): string | undefined {
  for (const name of ['metrics', 'rollouts'] as const) {
    const [wanted, got] = [expected[name], found[name]]
    if (wanted.length !== got.length) return `${name}: ${got.length} instead of ${wanted.length}`
    const at = wanted.findIndex((line, index) => line !== got[index])
    if (at >= 0) return `${name}, step ${at + 1}: ${differingKeys(wanted[at] as string, got[at] as string)}`
  }
  for (const name of ['weights', 'indexed'] as const)
    if (expected[name] !== found[name]) return `${name}: ${found[name]} instead of ${expected[name]}`
  return undefined
}

/** The keys of two lines of JSON that differ, with their values; the lines themselves where they are none. */
function differingKeys(wanted: string, got: string): string {
  if (!wanted.startsWith('{')) return `${got} instead of ${wanted}`
  const [before, after] = [JSON.parse(wanted), JSON.parse(got)] as Record<string, unknown>[] as [
    object,
    object,
  ]
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const text = (object: object, key: string) => JSON.stringify((object as Record<string, unknown>)[key])
  return keys
    .filter((key) => text(before, key) !== text(after, key))
    .map((key) => `${key}: ${text(after, key)} instead of ${text(before, key)}`)
    .join(', ')
}
