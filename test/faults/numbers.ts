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
      return `${name} ${sha256(lines.map((line) => JSON.stringify(JSON.parse(line, withoutClocks))).join('\n'))}`
    }),
  )
  return {
    weights: sha256(await readFile(join(run, 'policy', 'model.safetensors'))),
    metrics: (await readMetrics(run)).map((metrics) => JSON.stringify(metrics, withoutClocks)),
    rollouts,
    indexed: indexed(run),
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
    if (at >= 0) return `${name}, step ${at + 1}: ${got[at]} instead of ${wanted[at]}`
  }
  for (const name of ['weights', 'indexed'] as const)
    if (expected[name] !== found[name]) return `${name}: ${found[name]} instead of ${expected[name]}`
  return undefined
}
