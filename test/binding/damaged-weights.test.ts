// Weights that are damaged, or become so while they are read: an error, never a crash, and never a model of two halves.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from './own-process.js'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hdpo-damaged-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const begin = (name: string) => `
  const fs = require('node:fs')
  const path = ${JSON.stringify(join(root, name))}
  const logprobs = (engine) => engine.logprobs(Int32Array.of(1, 2, 3), Int32Array.of(0, 3), 1, false)
  const codeOf = (promise) => promise.then(() => 'fine', (error) => error.code)
`

describe('a file of weights', () => {
  it('that is cut short while it is loaded is an error, after which the engine computes with whole weights or not at all', async () => {
    const body = `${begin('cut')}
      const large = { ...options.engine, config: { ...options.engine.config, vocabSize: 200_000 } }
      const make = async () => { const engine = new Engine(large); await engine.ready(); return engine }
      let engine = await make()
      await engine.saveWeights(path)
      const seen = new Set()
      for (let i = 0; i < 30; i++) {
        fs.copyFileSync(path, path + '.cut')
        const loading = codeOf(engine.loadWeights(path + '.cut'))
        await new Promise((resolve) => setTimeout(resolve, i % 15))
        fs.truncateSync(path + '.cut', 1000 * i)
        const code = await loading, after = await codeOf(logprobs(engine))
        seen.add(code)
        if (!['fine', 'ERR_CHECKPOINT'].includes(code)) throw new Error(code)
        if (!(after === 'fine' || (after === 'ERR_STATE' && code === 'ERR_CHECKPOINT'))) throw new Error(after)
        if (after === 'ERR_STATE') { await codeOf(engine.close()); engine = await make() }
      }
      console.log(seen.has('ERR_CHECKPOINT'))`
    expect(await run(body)).toBe('true')
  }, 60_000)

  it('that is cut short after it was loaded changes nothing', async () => {
    const body = `${begin('after')}
      const engine = create(); await engine.ready()
      await engine.saveWeights(path); await engine.loadWeights(path)
      const before = (await logprobs(engine)).logprobs
      fs.truncateSync(path, 0)
      const { logprobs: after } = await logprobs(engine)
      console.log(after.every((value, index) => value === before[index]))`
    expect(await run(body)).toBe('true')
  })

  it('with a NaN is refused by name and place, and the weights stay as they were', async () => {
    await run(
      `${begin('nan')}; const engine = create(); await engine.ready(); await engine.saveWeights(path)`,
    )
    const path = join(root, 'nan')
    const bytes = readFileSync(path)
    const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0)))
    const tensors = JSON.parse(header.toString()) as {
      'model.norm.weight': { data_offsets: [number, number] }
    }
    const [offset] = tensors['model.norm.weight'].data_offsets
    bytes.writeFloatLE(Number.NaN, 8 + header.length + offset + 3 * 4)
    copyFileSync(path, `${path}.whole`)
    writeFileSync(path, bytes)
    const body = `${begin('nan')}
      const engine = create(); await engine.ready()
      await engine.loadWeights(path + '.whole')
      const before = (await logprobs(engine)).logprobs
      await engine.loadWeights(path).catch((error) => console.log(error.code, error.message))
      const { logprobs: after } = await logprobs(engine)
      console.log(after.every((value, index) => value === before[index]))`
    expect(await run(body)).toBe(
      `ERR_CHECKPOINT ${path}: tensor 'model.norm.weight' holds NaN at element 3; all values must be finite\ntrue`,
    )
  })
})
