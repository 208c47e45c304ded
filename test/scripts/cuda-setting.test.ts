import { describe, expect, it } from 'vitest'
import { decideCuda } from '../../scripts/cuda-setting.mjs'

const nvcc = { path: '/cuda/bin/nvcc', version: 'release 13.0' }
const here = (what: string) => () => what
const absent = () => undefined
const present = () => nvcc
const never = () => {
  throw new Error('looked for what it need not know')
}

describe('CUDA kernels', () => {
  it('are compiled where a driver is seen and there is an nvcc', () => {
    const decision = decideCuda({ setting: 'AUTO', driver: here('/dev/nvidiactl'), compiler: present })
    expect(decision.compiler).toBe(nvcc)
    expect(decision.line).toContain('/dev/nvidiactl')
    expect(decision.line).toContain('HDPO_CUDA=OFF')
  })

  it('are left out without a driver, whatever toolkit there is', () => {
    const decision = decideCuda({ setting: 'AUTO', driver: absent, compiler: never })
    expect(decision.compiler).toBeUndefined()
    expect(decision.line).toContain('HDPO_CUDA=ON')
  })

  it('are left out with a driver but no nvcc, saying so', () => {
    const decision = decideCuda({ setting: 'AUTO', driver: here('/dev/dxg'), compiler: absent })
    expect(decision.compiler).toBeUndefined()
    expect(decision.line).toMatch(/driver is here \(\/dev\/dxg\), but no nvcc/)
  })

  it('follow HDPO_CUDA', () => {
    expect(decideCuda({ setting: 'ON', driver: never, compiler: present }).compiler).toBe(nvcc)
    expect(() => decideCuda({ setting: 'ON', driver: never, compiler: absent })).toThrow(/HDPO_CUDA is ON/)
    expect(decideCuda({ setting: 'OFF', driver: never, compiler: never }).compiler).toBeUndefined()
  })

  it('cannot be asked for in another word', () => {
    process.env.HDPO_CUDA = 'yes'
    try {
      expect(() => decideCuda()).toThrow('HDPO_CUDA is yes: AUTO, ON, OFF')
    } finally {
      delete process.env.HDPO_CUDA
    }
  })
})
