// What callers do with their arrays while native work runs on them: none of it may reach memory that was freed, or change a result.
import { describe, expect, it } from 'vitest'
import { run } from './own-process.js'

const call = `
  const vocabSize = 20_000, tokens = 8
  const loss = {
    temperature: 1, clipLow: 0.2, clipHigh: 0.2, dualClip: 3, accuracyWeight: 1, efficiencyWeight: 1,
    klCoefficient: 0, entropyCoefficient: 0, aggregation: 'token-mean',
  }
  const about = () => ({
    device: 'cpu', vocabSize, targets: new Int32Array(tokens), lossMask: new Uint8Array(tokens).fill(1),
    sequenceLengths: Int32Array.of(tokens), oldLogprobs: new Float32Array(tokens).fill(-9.9),
    accuracyAdvantages: Float32Array.of(1), efficiencyAdvantages: Float32Array.of(1), options: loss,
  })
  const calls = {
    policyLoss: () => ({ ...about(), logits: new Float32Array(tokens * vocabSize) }),
    linearPolicyLoss: () => ({
      ...about(), hiddenSize: 4, hidden: new Float32Array(tokens * 4), weight: new Float32Array(vocabSize * 4),
    }),
    groupAdvantages: () => ({
      device: 'cpu', groupIds: new Int32Array(100_000), accuracyRewards: new Float32Array(100_000).fill(1),
      correct: new Uint8Array(100_000).fill(1), toolCalls: new Int32Array(100_000), epsilon: 1e-6, scaleByStd: true,
    }),
  }
  /** Writes all arrays of a call, and moves them away and to the garbage. */
  const spoil = (given) => {
    for (const array of Object.values(given)) {
      if (!ArrayBuffer.isView(array)) continue
      array.fill(7)
      structuredClone(array.buffer, { transfer: [array.buffer] })
    }
  }
  const floats = (result) => Object.values(result).filter((value) => value instanceof Float32Array)
`

describe('arrays of a caller', () => {
  it.concurrent.each(['policyLoss', 'linearPolicyLoss', 'groupAdvantages'])(
    'are those of the time of the call, for %s',
    async (name) => {
      const body = `${call}
        const wanted = floats(await kernels.${name}(calls.${name}()))
        let wrong = 0
        for (let i = 0; i < 200; i++) {
          const given = calls.${name}()
          const result = kernels.${name}(given)
          spoil(given)
          if (i % 20 === 0) gc()
          const got = floats(await result)
          if (got.some((array, index) => Buffer.compare(Buffer.from(array.buffer), Buffer.from(wanted[index].buffer)))) wrong++
        }
        console.log(wanted.length > 0, wrong)`
      expect(await run(body)).toBe('true 0')
    },
    60_000,
  )

  it.concurrent('are those of the time of the call, for an engine', async () => {
    const body = `${call}
      const engine = create(); await engine.ready()
      const logprobs = async (spoiled) => {
        const tokens = Int32Array.from({ length: 400 }, (_, index) => index % 64), offsets = Int32Array.of(0, 400)
        const result = engine.logprobs(tokens, offsets, 1, false)
        if (spoiled) spoil({ tokens, offsets })
        return (await result).logprobs
      }
      const wanted = await logprobs(false)
      let wrong = 0
      for (let i = 0; i < 20; i++) wrong += (await logprobs(true)).some((value, index) => value !== wanted[index]) ? 1 : 0
      const batch = { tokens: new Int32Array(64), offsets: Int32Array.of(0, 64), mask: new Uint8Array(64).fill(1, 1) }
      const step = engine.supervisedStep(batch, options.optimizer)
      spoil(batch)
      console.log(wrong, (await step).trainedTokens)`
    expect(await run(body)).toBe('0 63')
  })

  it.concurrent('are refused where their memory has shrunk, moved or gone', async () => {
    const body = `${call}
      const shrunk = new ArrayBuffer(400, { maxByteLength: 800 })
      const outside = new Int32Array(shrunk, 0, 100)
      shrunk.resize(40)
      const memory = new WebAssembly.Memory({ initial: 1 })
      const grown = new Int32Array(memory.buffer, 0, 100)
      memory.grow(1)
      const moved = new Int32Array(100)
      structuredClone(moved.buffer, { transfer: [moved.buffer] })
      for (const groupIds of [outside, grown, moved]) {
        try { await kernels.groupAdvantages({ ...calls.groupAdvantages(), groupIds }) } catch (error) { console.log(error.message) }
        try { create().createSequence(groupIds); console.log('empty') } catch (error) { console.log(error.message) }
      }`
    const refusal = 'accuracyRewards must have 0 elements, got 100000'
    expect((await run(body)).split('\n')).toEqual([refusal, 'empty', refusal, 'empty', refusal, 'empty'])
  })
})

describe('arrays of a result', () => {
  it.concurrent("are in nobody's sight while the kernel writes them", async () => {
    const body = `${call}
      const seen = []
      for (const name of ['result', 'logprobs', 'entropy', 'gradLogprobs', 'gradLogits']) {
        Object.defineProperty(Object.prototype, name, { configurable: true, set() { seen.push(name) } })
      }
      const result = kernels.policyLoss(calls.policyLoss())
      console.log(seen.length)
      await result.catch(ignore)`
    expect(await run(body)).toBe('0')
  })

  it.concurrent('may be transferred', async () => {
    const body = `${call}
      const { gradLogits, logprobs } = await kernels.policyLoss(calls.policyLoss())
      const [moved, also] = structuredClone([gradLogits, logprobs], { transfer: [gradLogits.buffer, logprobs.buffer] })
      console.log(gradLogits.length, moved.length, also.length)`
    expect(await run(body)).toBe('0 160000 8')
  })
})
