// npm run soak [-- --minutes 60 --seed 1]: serves and trains for as long as asked, and prints a Markdown table. The exit code is 1
// where something grows after the warm-up, is held at the end, or was answered as nothing should be.
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { wholeNumber } from '../faults/arguments.js'
import { markdownTable } from '../faults/table.js'
import { afterWarmUp, slopes } from './flat.js'
import { type Held, soak } from './soak.js'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } },
})
const minutes = wholeNumber('minutes', values.minutes)
const seed = wholeNumber('seed', values.seed)

const result = await soak({
  seed,
  rolloutsPerRound: 1000,
  goesOn: (held) => (held.at(-1)?.minutes ?? 0) < minutes,
  onRound: (held) => {
    if (process.stdout.isTTY) console.log(row(held).join('  '))
  },
})
const grown = slopes(result.held)
const { end } = result
const left = end.sequences + end.kv + end.liveRollouts + Math.max(0, end.files - end.filesBefore)

console.log(
  `\nSeed ${seed}, ${cpus().length} cores of ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}.\n`,
)
console.log(
  markdownTable(
    ['rollouts', 'minutes', 'RSS MB', 'heap MB', 'external MB', 'cache MB', 'sequences', 'files', 'handles'],
    chosenRounds().map(row),
  ),
)
if (grown.length === 0)
  console.log('\nToo short to tell whether anything grows: it takes more than 10,000 rollouts.')
else console.log(`\n${slopeTable()}`)
console.log(
  `\nPlayed: ${Object.entries(result.played)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}; ${result.trainedRollouts} rollouts trained.`,
)
console.log(
  `At the end: ${end.sequences} sequences, ${end.kv} bytes of cached keys and values, ${end.liveRollouts} rollouts, ${end.files} open files (${end.filesBefore} before).`,
)
if (result.unexpectedCount > 0)
  console.log(
    `\n${result.unexpectedCount} answers that nobody should get:\n${result.unexpected.map((what) => `- ${what}`).join('\n')}`,
  )
if (grown.some(({ flat }) => !flat) || left > 0 || result.unexpectedCount > 0) process.exitCode = 1

function slopeTable(): string {
  const first = afterWarmUp(result.held)[0]?.rollouts
  return markdownTable(
    [`from rollout ${first}`, 'per 1,000 rollouts', '±', 'limit', 'flat'],
    grown.map(({ name, slope, uncertainty, limit, flat }) => [
      name,
      number(slope),
      number(uncertainty),
      number(limit),
      flat ? 'yes' : 'NO',
    ]),
  )
}

/** At most twenty rounds, evenly spread. */
function chosenRounds(): Held[] {
  const every = Math.ceil(result.held.length / 20)
  return result.held.filter((_, index) => (result.held.length - 1 - index) % every === 0)
}

function row(held: Held): (string | number)[] {
  const { rollouts, minutes: at, rss, heap, external, kv, sequences, files, handles } = held
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  return [
    rollouts,
    at.toFixed(1),
    megabytes(rss),
    megabytes(heap),
    megabytes(external),
    megabytes(kv),
    sequences,
    files,
    handles,
  ]
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) < 10 ? 2 : 0)
}
