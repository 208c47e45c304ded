// How engines and kernels end: with their process, with a worker thread, by the garbage collector, in the middle of work. Each
// case runs in a process of its own, because a failure here is a crash.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
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

const prelude = `
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
`

/** Runs `body`, that of an async function, in a process of its own until it ends; resolves with what it printed. */
async function run(body: string): Promise<string> {
  const child = spawn(process.execPath, ['--expose-gc', '--eval', `${prelude}\n;(async () => {${body}})()`])
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      printed += chunk
    })
  }
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`ended with ${signal ?? code}:\n${printed}`)
  return printed.trim()
}

describe('an engine', () => {
  it.concurrent('closes', async () => {
    const body = `const engine = create(); await engine.ready(); await engine.close(); console.log('closed')`
    expect(await run(body)).toBe('closed')
  })

  it.concurrent('lets the process end without having been closed, when nothing is outstanding', async () => {
    expect(await run(`globalThis.engine = create(); await engine.ready(); console.log('ready')`)).toBe(
      'ready',
    )
  })

  it.concurrent('keeps the process until what is outstanding has settled', async () => {
    const body = `create().ready().then(() => console.log('ready'))`
    expect(await run(body)).toBe('ready')
  })

  it.concurrent.each([
    'step(engine, 4000)',
    'sample(engine)',
    'engine.logprobs(new Int32Array(4000), Int32Array.of(0, 4000), 1, false)',
  ])('ends with the process in the middle of %s', async (work) => {
    const body = `
        const engine = create(); await engine.ready()
        ${work}.then(() => console.log('settled'), (error) => console.log(error.code))
        setTimeout(() => process.exit(0), 5)`
    expect(['', 'settled']).toContain(await run(body))
  })

  it.concurrent('rejects what close() leaves waiting', async () => {
    const body = `
      const engine = create(); await engine.ready()
      const [long, longer] = [sample(engine, 100_000), sample(engine, 100_000)]
      const waiting = Promise.allSettled([long, longer, step(engine, 4000)])
      await engine.close()
      const settled = [...(await waiting), ...(await Promise.allSettled([engine.ready(), engine.close()]))]
      console.log(settled.map(({ reason }) => reason?.code ?? 'fulfilled').join(' '))`
    const codes = (await run(body)).split(' ')
    expect(codes.slice(0, 2)).toEqual(['ERR_CLOSED', 'ERR_CLOSED'])
    expect(['ERR_ABORTED', 'ERR_CLOSED', 'fulfilled']).toContain(codes[2])
    expect(codes.slice(3)).toEqual(['ERR_CLOSED', 'ERR_CLOSED'])
  })

  it.concurrent('is freed by the garbage collector', async () => {
    const body = `
      let freed = 0
      const registry = new FinalizationRegistry(() => freed++)
      for (let i = 0; i < 20; i++) {
        const engine = create(); registry.register(engine, undefined); await engine.ready(); await sample(engine, 100)
      }
      for (let i = 0; i < 1000 && freed < 15; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 10)) }
      console.log(freed >= 15)`
    expect(await run(body)).toBe('true')
  })
})

describe('kernels', () => {
  it.concurrent('end with the process in the middle of a call', async () => {
    const body = `
      for (let i = 0; i < 20; i++) advantages(1e6).then(() => {})
      setTimeout(() => process.exit(0), 5)`
    expect(await run(body)).toBe('')
  })
})

describe('worker threads', () => {
  const worker = (body: string) =>
    `new (require('node:worker_threads').Worker)(${JSON.stringify(`${prelude}\n;(async () => {${body}})()`)}, { eval: true })`

  it.concurrent('have engines and kernels of their own', async () => {
    const inside = `
      const engine = create(); await engine.ready(); await step(engine, 64)
      const { accuracyAdvantages } = await advantages(8)
      require('node:worker_threads').parentPort.postMessage(accuracyAdvantages.length)`
    const body = `
      const workers = [${worker(inside)}, ${worker(inside)}, ${worker(inside)}]
      const lengths = await Promise.all(workers.map((worker) => new Promise((resolve) => worker.on('message', resolve))))
      await advantages(8)
      console.log(lengths.join(' '))`
    expect(await run(body)).toBe('8 8 8')
  })

  it.concurrent('may be terminated in the middle of work', async () => {
    const inside = `
      const engine = create(); await engine.ready()
      step(engine, 4000).catch(() => {}); sample(engine).catch(() => {}); advantages(1e6)
      require('node:worker_threads').parentPort.postMessage('started')`
    const body = `
      for (let i = 0; i < 5; i++) {
        const worker = ${worker(inside)}
        await new Promise((resolve) => worker.once('message', resolve))
        await worker.terminate()
      }
      const engine = create(); await engine.ready(); await step(engine, 64)
      console.log('alive')`
    expect(await run(body)).toBe('alive')
  })

  it.concurrent.each([
    ['an error', `throw new Error('in the worker')`, '1 1 1'],
    ['process.exit', 'process.exit(3)', '3 3 3'],
  ])('may end by %s in the middle of work', async (_, end, codes) => {
    const inside = `
      const engine = create(); await engine.ready()
      for (let i = 0; i < 50; i++) engine.logprobs(new Int32Array(400), Int32Array.of(0, 400), 1, false)
      ${end}`
    const body = `
      const ended = (worker) => new Promise((resolve) => worker.on('error', () => {}).on('exit', resolve))
      console.log((await Promise.all([${worker(inside)}, ${worker(inside)}, ${worker(inside)}].map(ended))).join(' '))`
    expect(await run(body)).toBe(codes)
  })
})
