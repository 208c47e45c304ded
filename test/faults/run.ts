// npm run faults [-- --tries 100 --seed 1 --only kill,bits --minutes 60 --try 17]: the fault campaign. Prints a Markdown table; the
// exit code is 1 if anything came out wrong.
import { parseArgs } from 'node:util'
import { wholeNumber } from './arguments.js'
import { type Fault, Laboratory, runCampaign, type Tally } from './campaign.js'
import { faults } from './faults.js'
import { addTallies, formatCampaign } from './table.js'

const { values } = parseArgs({
  options: {
    tries: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    minutes: { type: 'string' },
    try: { type: 'string' },
  },
})
const seed = wholeNumber('seed', values.seed)
const tries = wholeNumber('tries', values.tries)
const minutes = values.minutes === undefined ? 0 : wholeNumber('minutes', values.minutes)
const single = values.try === undefined ? undefined : wholeNumber('try', values.try)
const chosen = choose(values.only)

const laboratory = await Laboratory.open()
const start = performance.now()
const elapsed = () => (performance.now() - start) / 60_000
try {
  let tallies: Tally[] = []
  let first = single ?? 0
  do {
    const triesOf = (fault: Fault) =>
      single === undefined ? Math.max(1, Math.round((fault.tries * tries) / 100)) : 1
    tallies = addTallies(
      tallies,
      await runCampaign(laboratory, { faults: chosen, seed, triesOf, first, onVerdict }),
    )
    first += tries
  } while (elapsed() < minutes && single === undefined)
  console.log(`\n${formatCampaign(tallies, { seed, minutes: elapsed() })}`)
  if (tallies.some((tally) => tally.wrong > 0)) process.exitCode = 1
} finally {
  await laboratory.close()
}

function onVerdict({ name }: Fault, index: number, { kind, why }: { kind: string; why: string }): void {
  const again = `npm run faults -- --seed ${seed} --only "${name}" --try ${index}`
  if (kind === 'wrong') console.log(`WRONG  ${name} ${index}: ${why}\n       again: ${again}`)
  else if (process.stdout.isTTY) console.log(`${kind.padEnd(9)} ${name} ${index} ${why.slice(0, 120)}`)
}

/** Names, or their beginnings, divided by commas. */
function choose(only: string | undefined): readonly Fault[] {
  if (only === undefined) return faults
  const names = only.split(',').map((name) => name.trim())
  const unknown = names.find((wanted) => !faults.some(({ name }) => name.startsWith(wanted)))
  if (unknown !== undefined)
    throw new RangeError(
      `--only: there is no ${unknown}; there are ${faults.map(({ name }) => name).join(', ')}`,
    )
  return faults.filter(({ name }) => names.some((wanted) => name.startsWith(wanted)))
}
