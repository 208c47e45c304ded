import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { train } from './train.js'

it('trains on the tools of an MCP server', async () => {
  const output = await mkdtemp(join(tmpdir(), 'hdpo-example-'))
  const lines: string[] = []
  try {
    const metrics = await train({
      coldStartSteps: 60,
      promptsPerStep: 4,
      steps: 2,
      output,
      tell: (line) => lines.push(line),
    })
    expect(metrics).toHaveLength(2)
    for (const {
      rollouts,
      segments,
      splitRollouts,
      ungradedRollouts,
      logprobDifference,
      skipped,
    } of metrics) {
      expect({ rollouts, segments, splitRollouts, ungradedRollouts, skipped }).toEqual({
        rollouts: 64,
        segments: 64,
        splitRollouts: 0,
        ungradedRollouts: 0,
        skipped: false,
      })
      expect(logprobDifference).toBeLessThan(1e-4)
    }
    expect(metrics[0]?.calls.ok).toBeGreaterThan(0)
    expect(lines).toContain('tools of the MCP server: price, stock')
    expect(lines.join('\n')).toContain('calls where the answer is known')
  } finally {
    await rm(output, { recursive: true, force: true })
  }
}, 180_000)
