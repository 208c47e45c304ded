// npm run bench [-- --threads 2 --profile --real-size [--peer both]]: hdpo beside PyTorch, in one run on this machine. Prints a table.
// The peer runs before and after hdpo: where a noisy neighbour makes its two figures differ, the better one counts.
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { formatProfile } from '../lib/cli/terminal/profile-table.js'
import { formatTable } from '../lib/cli/terminal/table.js'
import { measureAdvantages } from './advantages.js'
import { measureGeneration } from './generation.js'
import { measureLinearLoss } from './linear-loss.js'
import { bestRates, buildRates, measureRates } from './machine-rates.js'
import { compareRealSize, type PeerChoice, peerChoices } from './real-size.js'
import { type Shape, shapes } from './shapes.js'
import { figure, type PeerFigures, runPython, runTorchPeer } from './torch-peer.js'
import { measureTraining } from './training.js'

const rollouts = 1_000_000

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    profile: { type: 'boolean', default: false },
    'real-size': { type: 'boolean', default: false },
    peer: { type: 'string' },
  },
})
const threads = Number(values.threads)
if (!Number.isInteger(threads) || threads < 1)
  throw new RangeError(`--threads must be a whole number from 1, got ${values.threads}`)

if (values.peer !== undefined && !values['real-size']) throw new TypeError('--peer goes with --real-size')

console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${threads} threads, Node ${process.version}\n`)
if (values['real-size']) {
  await compareRealSize({ threads, profile: values.profile, peer: peerChoice() })
} else {
  await compareSmallModels()
}

/** The formats in which PyTorch is measured. There is a choice because float32 takes most of a run at that size. */
function peerChoice(): PeerChoice {
  const { peer = 'both' } = values
  const choice = peerChoices.find((known) => known === peer)
  if (choice === undefined)
    throw new RangeError(`--peer must be one of ${peerChoices.join(', ')}, got ${peer}`)
  return choice
}

async function compareSmallModels(): Promise<void> {
  await buildRates()
  const before = measureRates(threads)
  const measured: Row[] = []
  for (const shape of shapes) measured.push(...(await compare(shape)))
  const advantages = await compareAdvantages()
  const { float32Gflops } = bestRates(before, measureRates(threads))
  console.log(`matrix products on this machine, float32 (oneDNN): ${float32Gflops.toFixed(0)} GFLOP/s\n`)
  const rows = measured.map(({ name, ours, theirs, flopsPerToken }) => [
    name,
    Math.round(ours).toLocaleString('en'),
    percent((ours * flopsPerToken) / (float32Gflops * 1e9)),
    theirs === undefined ? '-' : Math.round(theirs).toLocaleString('en'),
    theirs === undefined ? '-' : `${(ours / theirs).toFixed(2)}x`,
  ])
  console.log(formatTable(['tokens/s', 'hdpo', 'of products', 'PyTorch', 'ratio'], [...rows, advantages]))
  const { milliseconds, matmulMilliseconds, workspaceBytes, shape } = await measureLinearLoss(threads)
  console.log(
    `\nfused loss, ${shape}: ${milliseconds.toFixed(0)} ms beside ${matmulMilliseconds.toFixed(0)} ms for its three matrix ` +
      `products alone; peak workspace ${(workspaceBytes / 2 ** 20).toFixed(0)} MiB`,
  )
}

interface Row {
  name: string
  ours: number
  theirs?: number
  /** Counts only the products with parameters. */
  flopsPerToken: number
}

async function compare(shape: Shape): Promise<Row[]> {
  const before = runTorchPeer(shape, threads)
  const training = await measureTraining(shape, threads)
  const generation = async (batch: number) => ({
    name: `${shape.name}: generation, batch ${batch}`,
    ours: await measureGeneration(shape, batch, threads),
    flopsPerToken: 2 * training.parameters,
  })
  const together = await generation(shape.batch)
  const peer = better(before, runTorchPeer(shape, threads))
  if (values.profile) console.log(`${shape.name}, one training step:\n${formatProfile(training.profile)}\n`)
  return [
    {
      name: `${shape.name}: training step`,
      ours: training.tokensPerSecond,
      theirs: peer.trainTokensPerSecond,
      flopsPerToken: 6 * training.parameters,
    },
    { ...together, theirs: peer.generateTokensPerSecond },
    await generation(1),
    await generation(256),
  ]
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)}%`
}

function better(one: PeerFigures, other: PeerFigures): PeerFigures {
  return {
    trainTokensPerSecond: Math.max(one.trainTokensPerSecond, other.trainTokensPerSecond),
    generateTokensPerSecond: Math.max(one.generateTokensPerSecond, other.generateTokensPerSecond),
  }
}

async function compareAdvantages(): Promise<string[]> {
  const ours = await measureAdvantages(rollouts)
  const output = runPython('torch_advantages.py', [
    '--rollouts',
    String(rollouts),
    '--threads',
    String(threads),
  ])
  const theirs = figure(output, /advantages ([\d.]+) ms/)
  return [
    'advantages of a million rollouts, ms',
    ours.toFixed(1),
    '-',
    theirs.toFixed(1),
    `${(theirs / ours).toFixed(2)}x`,
  ]
}
