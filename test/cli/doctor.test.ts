// What hdpo doctor says of devices, and the self-test on the real addon.
import { describe, expect, it } from 'vitest'
import { describeCuda } from '../../lib/cli/commands/doctor.js'
import { formatSelfTest, passed } from '../../lib/cli/commands/self-test.js'
import { fromNative, loadAddon, type SelfTestReport } from '../../lib/native/addon.js'
import { resolveEngine } from '../../lib/native/engine-options.js'
import type { ModelConfig } from '../../lib/native/types.js'

const addon = loadAddon()
const status = addon.cudaStatus()

const config: ModelConfig = {
  vocabSize: 16,
  hiddenSize: 8,
  layers: 1,
  heads: 1,
  kvHeads: 1,
  headDim: 8,
  intermediateSize: 16,
  maxPositions: 32,
  ropeTheta: 10_000,
  rmsNormEpsilon: 1e-6,
  tieEmbeddings: true,
  qkvBias: false,
  qkNorm: false,
}

describe('describeCuda', () => {
  it('says what is missing', () => {
    expect(describeCuda({ built: false, usable: false, missing: 'this build has no kernels' })).toBe(
      'this build has no kernels',
    )
    expect(describeCuda({ built: true, usable: false, missing: 'no driver', runtime: '13.0' })).toBe(
      'no driver; built for CUDA 13.0',
    )
  })

  it('says what there is', () => {
    const text = describeCuda({
      built: true,
      usable: true,
      device: 'a GPU',
      capability: '9.0',
      runtime: '13.0',
      driver: '13.1',
      cublas: '13.0.0, libcublas.so.13',
      totalBytes: 80e9,
      freeBytes: 79e9,
    })
    expect(text).toBe(
      'a GPU; compute capability 9.0; built for CUDA 13.0; driver supports 13.1; cuBLAS 13.0.0, libcublas.so.13; ' +
        '79.0 GB free of 80.0 GB',
    )
  })

  it('says when decoding does without CUDA graphs', () => {
    const found = { built: true, usable: true, device: 'a GPU', capability: '9.0' }
    expect(describeCuda({ ...found, graphs: true })).toBe('a GPU; compute capability 9.0')
    expect(describeCuda({ ...found, graphs: false })).toBe(
      'a GPU; compute capability 9.0; no CUDA graphs (HDPO_CUDA_GRAPHS)',
    )
  })
})

describe('the self-test', () => {
  it('passes on the CPU, op by op', async () => {
    const report = await fromNative(addon.selfTest('cpu', false))
    expect(report.device).toBe('cpu')
    expect(report.ops.length).toBeGreaterThan(40)
    expect(report.ops.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
    expect(passed(report)).toBe(true)
    expect(formatSelfTest(report)).toMatch(/cpu: \d+ passed, 0 failed, 0 not there$/)
  }, 60_000)

  it('has the rules of HDPO apart, as hdpo doctor shows them', async () => {
    const { device, ops } = await fromNative(addon.checkRules())
    expect(device).toBe('cpu')
    expect(ops.map(({ name, outcome }) => [name, outcome])).toEqual([
      ['groupAdvantages, the rules', 'passed'],
      ['policyLoss, the rules', 'passed'],
    ])
  })

  it('shows failures, what is not there, and times', () => {
    const report: SelfTestReport = {
      device: 'cuda',
      ceilings: { copyBytesPerSecond: 3e12, float32FlopsPerSecond: 5e13, bfloat16FlopsPerSecond: 8e14 },
      ops: [
        {
          name: 'add',
          outcome: 'passed',
          error: 0,
          allowed: 1e-5,
          shape: 'S',
          seconds: 2e-5,
          bytesPerSecond: 2.7e12,
          flopsPerSecond: 0,
          shareOfCeiling: 0.9,
        },
        { name: 'swiglu', outcome: 'failed', reason: 'result 0 is off by 1', error: 1, allowed: 1e-5 },
        { name: 'attention', outcome: 'not-implemented', reason: 'no kernel', error: 0, allowed: 0 },
      ],
    }
    const text = formatSelfTest(report)
    expect(text).toMatch(/add\s+passed\s+0\.0e\+0\s+1e-5\s+20\.0 us\s+2700\s+-\s+90%/)
    expect(text).toContain('swiglu: result 0 is off by 1')
    expect(text).toMatch(/attention\s+absent/)
    expect(text).toMatch(/cuda: 1 passed, 1 failed, 1 not there$/)
    expect(passed(report)).toBe(false)
  })

  it.skipIf(status.usable)('refuses a GPU that is not there with what is missing', async () => {
    await expect(fromNative(addon.selfTest('cuda', false))).rejects.toMatchObject({
      code: 'ERR_DEVICE',
      message: `device 'cuda': ${status.missing}`,
    })
  })

  it('knows its devices', () => {
    expect(() => addon.selfTest('tpu' as 'cpu', false)).toThrow("device must be 'cpu' or 'cuda', got 'tpu'")
  })
})

describe('an engine', () => {
  it.skipIf(status.usable)('on a GPU that is not there rejects with what is missing', async () => {
    const engine = new addon.Engine(resolveEngine({ config, device: 'cuda' }))
    await expect(fromNative(engine.ready())).rejects.toMatchObject({
      code: 'ERR_DEVICE',
      message: `device 'cuda': ${status.missing}`,
    })
    await expect(fromNative(engine.close())).rejects.toMatchObject({ code: 'ERR_DEVICE' })
  })

  it("runs wherever 'auto' finds it a place", async () => {
    const engine = new addon.Engine(resolveEngine({ config, device: 'auto' }))
    await fromNative(engine.ready())
    await fromNative(engine.close())
  })

  it('refuses other devices', () => {
    expect(() => new addon.Engine({ ...resolveEngine({ config }), device: 'tpu' as 'cpu' })).toThrow(
      /device must be one of 'cpu', 'cuda', 'auto'/,
    )
  })
})
