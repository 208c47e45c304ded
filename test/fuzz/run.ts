// npm run fuzz [-- --minutes 60 --seed 1 --only calls,files --path 12:0]: random input for every part of the product, for as long as
// asked. A failure prints the smallest input that was found, and the command that repeats it; the exit code is then 1.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { wholeNumber } from '../faults/arguments.js'
import { markdownTable } from '../faults/table.js'
import { repeatCommand, runTarget } from './fuzz.js'
import { targets } from './targets.js'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    path: { type: 'string' },
  },
})
const minutes = wholeNumber('minutes', values.minutes)
const seed = wholeNumber('seed', values.seed)
const nativeFuzzer = join(import.meta.dirname, '..', '..', 'scripts', 'fuzz-native.mjs')

/** A part, as --only names it, with what runs it for some seconds. */
interface Part {
  name: string
  run(seconds: number): Promise<{ runs: number; failed: number }>
}
const parts = choose([
  ...targets.map(({ name }): Part => ({ name, run: (seconds) => runOne(name, seconds) })),
  ...native(),
])

const rows: (string | number)[][] = []
for (const { name, run } of parts) {
  const begun = performance.now()
  const { runs, failed } = await run((minutes * 60) / parts.length)
  rows.push([name, runs, ((performance.now() - begun) / 60_000).toFixed(1), failed])
  if (failed > 0) process.exitCode = 1
}
console.log(`\nSeed ${seed}.\n\n${markdownTable(['part', 'runs', 'minutes', 'failures'], rows)}`)

async function runOne(name: string, seconds: number): Promise<{ runs: number; failed: number }> {
  const job = { name, seed, ...(values.path === undefined ? { seconds } : { path: values.path }) }
  const { runs, failures } = await runTarget(job)
  for (const failure of failures) {
    const { input, error } = failure
    const again = repeatCommand(name, failure)
    console.log(`FAILED  ${name}\n  input: ${input}\n  ${error}\n  again: ${again}\n`)
  }
  return { runs, failed: failures.length }
}

/** The parsers of the native core, which a fuzzer of their own feeds. */
function native(): Part[] {
  if (!existsSync(nativeFuzzer)) return []
  return [
    {
      name: 'native',
      run: async (seconds) => {
        const { fuzzNative } = await import(nativeFuzzer)
        const { runs, failed } = await fuzzNative({ seconds, seed })
        return { runs, failed: Number(failed) }
      },
    },
  ]
}

function choose(all: readonly Part[]): readonly Part[] {
  if (values.only === undefined) return all
  const names = values.only.split(',').map((name) => name.trim())
  const unknown = names.find((wanted) => !all.some(({ name }) => name === wanted))
  if (unknown !== undefined)
    throw new RangeError(
      `--only: there is no ${unknown}; there are ${all.map(({ name }) => name).join(', ')}`,
    )
  return all.filter(({ name }) => names.includes(name))
}
