import { describe, expect, it } from 'vitest'
import { complaint, readReport } from '../../scripts/cuda-kernels.mjs'

const report = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN4hdpo4cuda7forwardEv' for 'sm_90a'
ptxas info    : Function properties for _ZN4hdpo4cuda7forwardEv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 178 registers, used 1 barriers
ptxas info    : Compiling entry function '_ZN4hdpo4cuda4keysEv' for 'sm_90a'
ptxas info    : Function properties for _ZN4hdpo4cuda4keysEv
    112 bytes stack frame, 108 bytes spill stores, 108 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 112 bytes cumulative stack size
`

describe('the report of ptxas', () => {
  it('is read kernel by kernel', () => {
    expect(readReport(report)).toEqual([
      { name: '_ZN4hdpo4cuda7forwardEv', registers: 178, spilledBytes: 0 },
      { name: '_ZN4hdpo4cuda4keysEv', registers: 255, spilledBytes: 108 },
    ])
  })

  it('fails for a kernel that spills', () => {
    expect(readReport(report).map(complaint)).toEqual([undefined, '_ZN4hdpo4cuda4keysEv spills 108 bytes'])
  })
})
