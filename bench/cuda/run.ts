// npm run bench:cuda [-- --device cpu --small]: hdpo's figures on a GPU, beside PyTorch's from the same run where it is installed.
// Prints a table and, with --json, the values behind it. --device cpu --small tries the script itself where there is no GPU.
import { parseArgs } from 'node:util'
import { formatTable } from '../../lib/cli/terminal/table.js'
import { fromNative, loadAddon, type SelfTestShape } from '../../lib/native/addon.js'
import { type EngineDefinition, resolveEngine } from '../../lib/native/engine-options.js'
import { resolveLoss } from '../../lib/native/loss-options.js'
import { resolveOptimizer } from '../../lib/native/optimizer-options.js'
import type { ModelConfig } from '../../lib/native/types.js'
import { NativeSequence } from '../../lib/policy/sequence.js'
import { randomBatch } from '../training.js'
import { type GpuPeer, runTorchGpuPeer } from './torch-gpu-peer.js'

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    small: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
if (values.device !== 'cuda' && values.device !== 'cpu')
  throw new RangeError(`--device must be cuda or cpu, got ${values.device}`)
const device = values.device
const addon = loadAddon()

/** One line of the result: what was measured, our figure, the peer's, and the share or ratio that we aim for. */
interface Line {
  name: string
  ours: string
  peer: string
  reached: string
  wanted: string
}

const scale = values.small ? 16 : 1
const model: ModelConfig = {
  vocabSize: 151_936 / scale,
  hiddenSize: 1024 / scale,
  layers: values.small ? 2 : 28,
  heads: 16,
  kvHeads: 8,
  headDim: 128 / scale,
  intermediateSize: 3072 / scale,
  maxPositions: 32_768,
  ropeTheta: 1_000_000,
  rmsNormEpsilon: 1e-6,
  tieEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
}
const milliseconds = (seconds: number) => `${(1000 * seconds).toFixed(3)} ms`
const share = (value: number) => `${(100 * value).toFixed(0)}%`
const times = (value: number) => `${value.toFixed(2)}x`

async function main(): Promise<void> {
  const status = addon.cudaStatus()
  if (device === 'cuda' && !status.usable) throw new Error(status.missing)
  const { ceilings } = await measure('add', shapeOf(4096, 1))
  console.log(
    `${status.device ?? 'the CPU'}: copy ${(ceilings.copyBytesPerSecond / 1e9).toFixed(0)} GB/s, products ` +
      `${(ceilings.bfloat16FlopsPerSecond / 1e12).toFixed(1)} TFLOP/s bfloat16, ${(ceilings.float32FlopsPerSecond / 1e12).toFixed(1)} float32\n`,
  )
  if (values.small) console.log('Sizes are a sixteenth of what the names say: this only tries the script.\n')
  const peer = device === 'cuda' ? runTorchGpuPeer(model) : undefined
  const lines = [
    ...(await fusedLoss(peer)),
    ...(await bandwidthBound()),
    ...(await attention(peer)),
    await training(peer, ceilings.bfloat16FlopsPerSecond),
    await prefill(ceilings.bfloat16FlopsPerSecond),
    await generation(1, 'bfloat16', peer, ceilings.copyBytesPerSecond),
    await withoutGraphs(() => generation(1, 'bfloat16', undefined, ceilings.copyBytesPerSecond)),
    await generation(64, 'bfloat16', undefined, ceilings.copyBytesPerSecond),
    await withoutGraphs(() => generation(64, 'bfloat16', undefined, ceilings.copyBytesPerSecond)),
    await generation(256, 'bfloat16', peer, ceilings.copyBytesPerSecond),
    await generation(1, 'int8', undefined, ceilings.copyBytesPerSecond),
    await generation(256, 'int8', undefined, ceilings.copyBytesPerSecond),
    await advantages(),
  ]
  if (values.json) console.log(JSON.stringify({ status, ceilings, lines }, null, 2))
  else
    console.log(
      formatTable(
        ['', 'hdpo', 'PyTorch', 'reached', 'wanted'],
        lines.map(({ name, ours, peer: theirs, reached, wanted }) => [name, ours, theirs, reached, wanted]),
      ),
    )
}

const measure = (name: string, shape: SelfTestShape) => fromNative(addon.measureOp(device, name, shape))
/** The name of an op's row in the self-test's table: on CUDA the row with bfloat16 activations, which the CPU does not have. */
const rounded = (name: string) => (device === 'cuda' ? `${name}, bfloat16` : name)

function shapeOf(tokens: number, sequences: number, part: Partial<SelfTestShape> = {}): SelfTestShape {
  return {
    tokens: Math.max(sequences, Math.round(tokens / scale)),
    sequences,
    hidden: model.hiddenSize,
    feedForward: model.intermediateSize,
    heads: model.heads,
    kvHeads: model.kvHeads,
    headDim: model.headDim,
    vocabSize: model.vocabSize,
    ...part,
  }
}

/** Hidden 4096, vocabulary 151,936, 8,192 tokens, bfloat16 weight: compared with its three products alone. */
async function fusedLoss(peer: GpuPeer | undefined): Promise<Line[]> {
  const shape = shapeOf(8192, 1, { hidden: 4096 / scale })
  const loss = await measure(
    device === 'cuda' ? 'linearLoss, bfloat16 hidden and weight' : 'linearLoss, bfloat16 weight',
    shape,
  )
  // The same products: [tokens, hidden] x [hidden, vocabulary], and its two gradients of the same size.
  const product = await measure(device === 'cuda' ? 'matmul x W^T, bfloat16' : 'matmul x W^T, bfloat16 W', {
    ...shape,
    feedForward: model.vocabSize,
  })
  const products = 3 * (product.seconds ?? 0)
  const ours = loss.seconds ?? 0
  return [
    {
      name: 'fused loss, 8,192 x 4,096 x 151,936',
      ours: milliseconds(ours),
      peer: peer ? milliseconds(peer.plainLossSeconds) : '-',
      reached: `${times(ours / products)} of the products${peer ? `, ${times(peer.plainLossSeconds / ours)} PyTorch` : ''}`,
      wanted: 'at most 1.15x, 2x PyTorch',
    },
  ]
}

async function bandwidthBound(): Promise<Line[]> {
  const lines: Line[] = []
  for (const name of [...['rmsNorm', 'swiglu', 'rotary'].map(rounded), 'adamW']) {
    const { seconds = 0, shareOfCeiling = 0 } = await measure(name, shapeOf(16_384, 8))
    lines.push({
      name: `${name}, 16k tokens`,
      ours: milliseconds(seconds),
      peer: '-',
      reached: `${share(shareOfCeiling)} of a copy`,
      wanted: '85%',
    })
  }
  return lines
}

/** One sequence of 8k tokens, causal, head dim 128; the peer runs scaled_dot_product_attention in bfloat16. */
async function attention(peer: GpuPeer | undefined): Promise<Line[]> {
  const theirs = { attention: peer?.attentionSeconds, attentionBackward: peer?.attentionBackwardSeconds }
  const lines: Line[] = []
  for (const name of ['attention', 'attentionBackward'] as const) {
    const row = rounded(name)
    const { seconds = 0 } = await measure(row, shapeOf(8192, 1))
    const other = theirs[name]
    lines.push({
      name: `${row}, 8k tokens`,
      ours: milliseconds(seconds),
      peer: other === undefined ? '-' : milliseconds(other),
      reached: other === undefined ? '-' : times(other / seconds),
      wanted: '1x PyTorch in bfloat16',
    })
  }
  return lines
}

async function withEngine<T>(
  options: Partial<EngineDefinition>,
  use: (engine: InstanceType<typeof addon.Engine>) => Promise<T>,
): Promise<T> {
  const engine = new addon.Engine(resolveEngine({ config: model, device, precision: 'bfloat16', ...options }))
  await fromNative(engine.ready())
  try {
    return await use(engine)
  } finally {
    await fromNative(engine.close())
  }
}

/** A step on 16k packed tokens: 16 sequences of 1,024. */
async function training(peer: GpuPeer | undefined, productRate: number): Promise<Line> {
  return withEngine({ recompute: false }, async (engine) => {
    const shape = { name: 'bench', config: model, batch: 16, sequence: 1024 / scale - 1, generated: 0 }
    const batch = randomBatch(shape)
    const optimizer = resolveOptimizer({ learningRate: 1e-6, microBatchTokens: 16_384 })
    const step = () => fromNative(engine.policyStep(batch, resolveLoss({}), optimizer))
    for (let warmUp = 0; warmUp < 2; warmUp++) await step()
    const start = performance.now()
    const steps = 4
    for (let i = 0; i < steps; i++) await step()
    const rate = (steps * batch.tokens.length * 1000) / (performance.now() - start)
    const reached = (6 * engine.parameterCount * rate) / productRate
    return {
      name: 'training step, Qwen3-0.6B shape, 16k tokens',
      ours: `${Math.round(rate).toLocaleString('en')} tokens/s`,
      peer: peer ? `${Math.round(peer.trainTokensPerSecond).toLocaleString('en')} tokens/s` : '-',
      reached: `${share(reached)} of the products${peer ? `, ${times(rate / peer.trainTokensPerSecond)} PyTorch` : ''}`,
      wanted: '45%, 1.3x PyTorch',
    }
  })
}

/** Eight prompts of 2,048 tokens, before anything is sampled. Only the operations of products are counted. */
async function prefill(productRate: number): Promise<Line> {
  const length = 2048 / scale
  const kvBudgetBytes = 9 * length * 4 * model.layers * model.kvHeads * model.headDim
  return withEngine({ trainable: false, kvBudgetBytes }, async (engine) => {
    const prompts = Array.from({ length: 8 }, (_, p) =>
      Int32Array.from({ length }, (_, t) => ((p + 1) * (t + 7)) % model.vocabSize),
    )
    const run = async () => {
      const ids = prompts.map((prompt) => engine.createSequence(prompt))
      await Promise.all(ids.map((id) => fromNative(engine.prefill(id))))
      for (const id of ids) engine.releaseSequence(id)
    }
    await run()
    const start = performance.now()
    await run()
    const rate = (8 * length * 1000) / (performance.now() - start)
    const layerParameters = engine.parameterCount - model.vocabSize * model.hiddenSize
    return {
      name: 'prefill, 8 prompts of 2,048 tokens',
      ours: `${Math.round(rate).toLocaleString('en')} tokens/s`,
      peer: '-',
      reached: `${share((2 * layerParameters * rate) / productRate)} of the products`,
      wanted: '-',
    }
  })
}

/** 128 tokens after a prompt of 64, all sequences at once. A step must read the weights once, and all keys and values. */
async function generation(
  batch: number,
  generationPrecision: 'bfloat16' | 'int8',
  peer: GpuPeer | undefined,
  copyRate: number,
): Promise<Line> {
  const generated = values.small ? 16 : 128
  const prompt = Int32Array.from({ length: 64 }, (_, index) => (index * 37) % model.vocabSize)
  const cached = batch * (prompt.length + generated + 16)
  const keyValueBytes = 4 * model.layers * model.kvHeads * model.headDim
  return withEngine(
    {
      generationPrecision,
      kvPrecision: 'bfloat16',
      kvBudgetBytes: cached * keyValueBytes,
      maxBatchRows: Math.max(256, batch),
      trainable: false,
    },
    async (engine) => {
      const run = async () => {
        const first = NativeSequence.create(engine, prompt)
        const sequences = [first, ...Array.from({ length: batch - 1 }, () => first.fork())]
        await Promise.all(
          sequences.map((sequence, index) => sequence.sample({ maxTokens: generated, seed: index })),
        )
        for (const sequence of sequences) sequence.release()
      }
      await run()
      const start = performance.now()
      await run()
      const seconds = (performance.now() - start) / 1000
      const rate = (batch * generated) / seconds
      const bytesOfWeight = generationPrecision === 'int8' ? 1 + 4 / 64 : 2
      const bytesOfStep =
        bytesOfWeight * engine.parameterCount + batch * (prompt.length + generated / 2) * keyValueBytes
      const bound = (batch * copyRate) / bytesOfStep
      const theirs = batch === 1 ? peer?.generateTokensPerSecond1 : peer?.generateTokensPerSecond256
      return {
        name: `generation, ${generationPrecision}, batch ${batch}`,
        ours: `${Math.round(rate).toLocaleString('en')} tokens/s`,
        peer: theirs === undefined ? '-' : `${Math.round(theirs).toLocaleString('en')} tokens/s`,
        reached: `${share(rate / bound)} of the bandwidth bound`,
        wanted: '60%',
      }
    },
  )
}

/** The same with every kernel launched by itself: an engine looks at the variable when it is made. */
async function withoutGraphs(measured: () => Promise<Line>): Promise<Line> {
  const before = process.env.HDPO_CUDA_GRAPHS
  process.env.HDPO_CUDA_GRAPHS = 'off'
  try {
    const line = await measured()
    return { ...line, name: `${line.name}, HDPO_CUDA_GRAPHS=off`, wanted: '-' }
  } finally {
    if (before === undefined) delete process.env.HDPO_CUDA_GRAPHS
    else process.env.HDPO_CUDA_GRAPHS = before
  }
}

/** A million rollouts; the time includes copies from and to the host, about 40 MB. */
async function advantages(): Promise<Line> {
  const { seconds = 0 } = await measure('groupAdvantages', shapeOf((1_000_000 / 7) * scale, 1))
  return {
    name: 'advantages of a million rollouts, copies included',
    ours: milliseconds(seconds),
    peer: '-',
    reached: '-',
    wanted: '0.1 ms without copies: nsys',
  }
}

await main()
