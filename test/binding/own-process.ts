// Runs pieces of JavaScript with the addon in processes of their own, because what they try may crash.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { resolveEngine } from '../../lib/native/engine-options.js'
import { resolveOptimizer } from '../../lib/native/optimizer-options.js'
import { resolveSampling } from '../../lib/native/sampling-options.js'

const addon = join(import.meta.dirname, '..', '..', 'build', 'Release', 'hdpo.node')
const sizes = {
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 16,
  hiddenSize: 32,
  intermediateSize: 64,
  vocabSize: 64,
}
const rest = { ropeTheta: 1e4, rmsNormEpsilon: 1e-6, tieEmbeddings: true, qkvBias: false, qkNorm: true }
const options = {
  engine: resolveEngine({ config: { ...sizes, ...rest, maxPositions: 2 ** 17 }, threads: 1 }),
  optimizer: resolveOptimizer({ learningRate: 1e-3 }),
  sampling: resolveSampling({}),
}

/** What every piece has at hand: `create`, `step`, `sample`, `advantages`, and `busy`, an engine or kernel in the middle of work. */
export const prelude = `
const { Engine, kernels } = require(${JSON.stringify(addon)})
const options = ${JSON.stringify(options)}
const create = () => new Engine(options.engine)
const step = (engine, length) => engine.supervisedStep(
  { tokens: new Int32Array(length), offsets: Int32Array.of(0, length), mask: new Uint8Array(length).fill(1, 1) },
  options.optimizer,
)
const sample = (engine, maxTokens = 4000) => engine.sample(
  engine.createSequence(Int32Array.of(1, 2)), { ...options.sampling, maxTokens },
)
const advantages = (rollouts) => kernels.groupAdvantages({
  device: 'cpu',
  groupIds: new Int32Array(rollouts), accuracyRewards: new Float32Array(rollouts), correct: new Uint8Array(rollouts),
  toolCalls: new Int32Array(rollouts), epsilon: 1e-6, scaleByStd: true,
})
const ignore = () => {}
const busy = async (kind) => {
  const engine = globalThis.engine = create(); await engine.ready()
  if (kind === 'training') step(engine, 4000).catch(ignore)
  if (kind === 'sampling') for (let i = 0; i < 2; i++) sample(engine).catch(ignore)
  if (kind === 'kernels') for (let i = 0; i < 5; i++) advantages(1e6).catch(ignore)
}
`

/** How a process ended, and what it printed. */
interface Ended {
  code: number | null
  signal: string | null
  printed: string
}

/** Runs `body`, that of an async function, in a process of its own until it ends; resolves with what it printed. */
export async function run(body: string): Promise<string> {
  const { code, signal, printed } = await end(`${prelude}\n;(async () => {${body}})()`)
  if (code !== 0) throw new Error(`ended with ${signal ?? code}:\n${printed}`)
  return printed.trim()
}

/** The expression that starts a worker thread with `body`, that of an async function. */
export function worker(body: string): string {
  const program = `${prelude}\n;(async () => {${body}})()`
  return `new (require('node:worker_threads').Worker)(${JSON.stringify(program)}, { eval: true })`
}

/** Runs a program until it ends, however it does. */
export async function end(program: string): Promise<Ended> {
  const child = spawn(process.execPath, ['--expose-gc', '--eval', program])
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      printed += chunk
    })
  }
  const [code, signal] = await once(child, 'close')
  return { code, signal, printed }
}
