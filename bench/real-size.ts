// npm run bench -- --real-size [--peer both|bfloat16|float32|none]: measures a model of 0.5 billion parameters
// with random weights, in the formats in which real models are trained and sampled. Figures are shares of the best that the machine
// gives, and stand beside PyTorch's.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatTable } from '../lib/cli/terminal/table.js'
import { bestRates, buildRates, type MachineRates, measureRates } from './machine-rates.js'
import type { PartArguments, PartFigures } from './real-size-part.js'
import { realShape } from './shapes.js'
import { figure, runPython, torchFlags } from './torch-peer.js'

const prefillTokens = 1024
const batches = [1, 8, 32]

interface Sizes {
  /** All parameters; with tied embeddings the head has none of its own. */
  parameters: number
  /** Parameters of the layers, with which a prefilled token is multiplied. */
  layerParameters: number
}

/** The formats in which PyTorch is measured. */
export const peerChoices = ['both', 'bfloat16', 'float32', 'none'] as const
export type PeerChoice = (typeof peerChoices)[number]

/** PyTorch's figures, as far as they were measured. */
type Peers = Partial<Record<'float32' | 'bfloat16', PeerSpeeds>>

export interface RealSizeOptions {
  threads: number
  profile: boolean
  peer: PeerChoice
}

export async function compareRealSize({ threads, profile, peer }: RealSizeOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hdpo-real-size-'))
  try {
    const weights = join(folder, 'model.safetensors')
    const common = { shape: realShape, threads, precision: 'bfloat16' as const }
    await buildRates()
    tell('this machine: matrix products, memory')
    const before = measureRates(threads)
    const rounded = runPart('bfloat16: weights, prefill, decoding', {
      ...common,
      generationPrecision: 'bfloat16',
      save: weights,
      prefillTokens,
      batches,
    })
    const int8 = runPart('int8: prefill, decoding', {
      ...common,
      generationPrecision: 'int8',
      weights,
      prefillTokens,
      batches,
    })
    const lora = runPart('training step, LoRA', {
      ...common,
      generationPrecision: 'bfloat16',
      weights,
      train: 'lora',
    })
    const full = runPart('training step, full', {
      ...common,
      generationPrecision: 'bfloat16',
      weights,
      train: 'full',
    })
    tell('this machine again')
    const rates = bestRates(before, measureRates(threads))
    console.log(
      `${realShape.name}, random weights; this machine: ${rates.bfloat16Gflops.toFixed(0)} GFLOP/s in bfloat16, ` +
        `${rates.float32Gflops.toFixed(0)} in float32, ${rates.readGigabytesPerSecond.toFixed(0)} GB/s\n`,
    )
    const peers = runPeers(threads, peer)
    const rows = [
      ...generationRows('bfloat16', rounded, rates, 2, peers),
      ...generationRows('int8', int8, rates, 1 + 4 / 64, peers),
      trainingRow('LoRA, rank 32', lora, rates, 4, peers),
      trainingRow('full, float32 masters', full, rates, 6),
    ]
    console.log(
      formatTable(['tokens/s', 'hdpo', 'of the bound', 'peak memory', 'PyTorch float32', 'bfloat16'], rows),
    )
    for (const [format, { drift }] of Object.entries({ bfloat16: rounded, int8 })) {
      if (!drift) throw new Error(`no drift was measured in ${format}`)
      console.log(
        `\n|logprob while sampling in ${format} - logprob of the training forward in bfloat16|: mean ` +
          `${drift.mean.toExponential(1)}, largest ${drift.largest.toExponential(1)}`,
      )
    }
    if (profile) for (const part of [rounded, int8, lora, full]) printProfile(part)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Matrix products bound prefill; reading the weights once per step bounds decoding. */
function generationRows(
  format: string,
  figures: PartFigures,
  rates: MachineRates,
  bytesPerWeight: number,
  peers: Peers,
): string[][] {
  const { parameters, layerParameters } = sizes()
  const prefill = figures.prefillTokensPerSecond ?? Number.NaN
  const memory = bytes(figures.peakResidentBytes)
  const rows = [
    [
      `prefill, ${format}, ${prefillTokens} tokens`,
      whole(prefill),
      `${percent((2 * layerParameters * prefill) / (rates.bfloat16Gflops * 1e9))} of bfloat16 products`,
      memory,
      optional(peers.float32?.prefill),
      optional(peers.bfloat16?.prefill),
    ],
  ]
  for (const batch of batches) {
    const speed = figures.decodeTokensPerSecond[batch] ?? Number.NaN
    const share = ((speed / batch) * parameters * bytesPerWeight) / (rates.readGigabytesPerSecond * 1e9)
    rows.push([
      `decode, ${format}, batch ${batch}`,
      speed.toFixed(1),
      `${percent(share)} of memory`,
      memory,
      peers.float32?.decode[batch]?.toFixed(1) ?? '-',
      peers.bfloat16?.decode[batch]?.toFixed(1) ?? '-',
    ])
  }
  return rows
}

/** `products`: operations per parameter and token, 2 per product: forward, input gradient, and weight gradient unless frozen. */
function trainingRow(
  name: string,
  figures: PartFigures,
  rates: MachineRates,
  products: number,
  peers: Peers = {},
): string[] {
  const speed = figures.trainTokensPerSecond ?? Number.NaN
  const share = (products * sizes().parameters * speed) / (rates.bfloat16Gflops * 1e9)
  return [
    `training step, ${name}, ${realShape.batch} x ${realShape.sequence}`,
    whole(speed),
    `${percent(share)} of bfloat16 products`,
    bytes(figures.peakResidentBytes),
    optional(peers.float32?.train),
    optional(peers.bfloat16?.train),
  ]
}

function sizes(): Sizes {
  const { vocabSize, hiddenSize, layers, heads, kvHeads, headDim, intermediateSize } = realShape.config
  const attention = (2 * heads + 2 * kvHeads) * headDim * hiddenSize
  const layerParameters = layers * (attention + 3 * hiddenSize * intermediateSize)
  return { layerParameters, parameters: layerParameters + vocabSize * hiddenSize }
}

/** Reports progress on standard error, because some measurements take minutes. */
function tell(what: string): void {
  console.error(`${new Date().toLocaleTimeString('en-GB')} measuring ${what}`)
}

function runPart(what: string, given: PartArguments): PartFigures {
  tell(`hdpo, ${what}`)
  const path = fileURLToPath(new URL('real-size-part.ts', import.meta.url))
  const output = execFileSync(process.execPath, ['--import', 'tsx', path, JSON.stringify(given)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return JSON.parse(output) as PartFigures
}

interface PeerSpeeds {
  prefill: number
  decode: Record<number, number>
  train: number
}

function runPeers(threads: number, choice: PeerChoice): Peers {
  const run = (dtype: 'float32' | 'bfloat16') => choice === 'both' || choice === dtype
  return {
    ...(run('float32') && { float32: runPeer(threads, 'float32') }),
    ...(run('bfloat16') && { bfloat16: runPeer(threads, 'bfloat16') }),
  }
}

function runPeer(threads: number, dtype: 'float32' | 'bfloat16'): PeerSpeeds {
  tell(`PyTorch, ${dtype}: prefill, decoding, training step`)
  const output = runPython('torch_peer.py', [
    ...torchFlags(realShape, threads),
    ...['--dtype', dtype, '--lora', '32', '--steps', '1', '--prefill', String(prefillTokens)],
    ...['--decode-batches', batches.join(','), '--gen', '8'],
  ])
  return {
    prefill: figure(output, /prefill ([\d,.]+) tokens\/s/),
    decode: Object.fromEntries(
      batches.map((batch) => [
        batch,
        figure(output, new RegExp(`generate ([\\d,.]+) tokens/s \\(batch ${batch}\\)`)),
      ]),
    ),
    train: figure(output, /train ([\d,.]+) tokens\/s/),
  }
}

function printProfile({ profile }: PartFigures): void {
  const entries = [...profile].sort((a, b) => b.seconds - a.seconds).slice(0, 12)
  const rows = entries.map(({ name, calls, seconds, flops }) => [
    name,
    String(calls),
    (seconds * 1000).toFixed(1),
    (flops / seconds / 1e9).toFixed(0),
  ])
  console.log(`\n${formatTable(['op', 'calls', 'ms', 'GFLOP/s'], rows)}`)
}

const whole = (value: number): string => Math.round(value).toLocaleString('en')
const optional = (value: number | undefined): string => (value === undefined ? '-' : whole(value))
const percent = (share: number): string => `${(100 * share).toFixed(0)}%`
const bytes = (value: number): string => `${(value / 2 ** 30).toFixed(1)} GiB`
