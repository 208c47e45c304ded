// How engines and kernels end: with their process, with a worker thread, by the garbage collector, in the middle of work. Each
// case runs in a process of its own, because a failure here is a crash.
import { describe, expect, it } from 'vitest'
import { end, prelude, run, worker } from './own-process.js'

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

describe('a process that ends in the middle of work without its exit listeners', () => {
  const unlistened = `process.removeAllListeners('exit');`
  const ends: [name: string, end: string, codes: number[]][] = [
    ['process.exit', 'process.exit(3)', [3]],
    ['process.exit, all listeners removed', `${unlistened} process.exit(3)`, [3]],
    [
      'a listener that throws',
      `process.prependListener('exit', () => { throw new Error('in a listener') }); process.exit(3)`,
      [0, 1, 3, 7], // by the version of Node
    ],
    ['a listener that exits', `process.prependListener('exit', () => process.exit(4)); process.exit(3)`, [4]],
    ['process.reallyExit', 'process.reallyExit(5)', [5]],
    ['an uncaught exception', `${unlistened} throw new Error('uncaught')`, [1]],
    ['an unhandled rejection', `${unlistened} Promise.reject(new Error('unhandled'))`, [1]],
  ]
  const kinds = ['training', 'sampling', 'kernels']

  it.each(ends)('by %s ends as it says', async (_, ending, codes) => {
    for (const [delay, kind] of [...kinds, ...kinds].entries()) {
      const program = `${prelude}; busy('${kind}').then(() => setTimeout(() => { ${ending} }, ${delay}))`
      const { code, signal, printed } = await end(program)
      expect(signal, printed).toBeNull()
      expect(codes).toContain(code)
    }
  })

  it.each([
    ['terminated', '', 'await worker.terminate()'],
    ['ended by process.exit', `${unlistened} setTimeout(() => process.exit(), 3)`, `await ended`],
    ['taken along by the process', '', `process.reallyExit()`],
  ])('goes on after a worker, the only one with the addon, that is %s', async (_, inside, outside) => {
    for (const kind of kinds) {
      const busy = worker(`
        await busy('${kind}'); require('node:worker_threads').parentPort.postMessage('started'); ${inside}`)
      const program = `(async () => {
        for (let i = 0; i < 3; i++) {
          const worker = ${busy}
          const ended = new Promise((resolve) => worker.once('exit', resolve))
          await new Promise((resolve) => worker.once('message', resolve))
          ${outside}
        }
      })()`
      const { code, signal, printed } = await end(program)
      expect({ code, signal }, printed).toEqual({ code: 0, signal: null })
    }
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
