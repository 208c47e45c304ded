import { expect, it } from 'vitest'
import { formatProfile } from '../../lib/cli/terminal/profile-table.js'

it('shows ops by their share, largest first', () => {
  const lines = formatProfile([
    { name: 'normalisation', calls: 10, seconds: 0.5, flops: 0 },
    { name: 'matrix product', calls: 4, seconds: 1.5, flops: 3e11 },
  ]).split('\n')
  expect(lines.map((line) => line.split(/\s{2,}/))).toEqual([
    ['op', 'calls', 'seconds', 'share', 'GFLOP/s'],
    expect.anything(),
    ['matrix product', '4', '1.500', '75.0%', '200.0'],
    ['normalisation', '10', '0.500', '25.0%', '-'],
    ['total', expect.anything(), '100.0%'],
  ])
})

it('adds no part of an op to the total', () => {
  const lines = formatProfile([
    { name: 'linearLoss', calls: 1, seconds: 2, flops: 0 },
    { name: 'linearLoss/matmul', calls: 3, seconds: 1, flops: 0 },
  ]).split('\n')
  expect(lines.at(-1)).toMatch(/^total\s+2\.000\s+100\.0%/)
})
