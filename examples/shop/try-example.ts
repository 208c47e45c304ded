// The test of both examples: they run at a small size, and what they train on is what was sampled.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { StepMetrics } from '../../lib/index.js'

export interface ExampleSize {
  coldStartSteps: number
  promptsPerStep: number
  steps: number
  output: string
  tell: (line: string) => void
}

/** Trains an example at a small size, checks its metrics, and returns the lines that it told. */
export async function tryExample(train: (size: ExampleSize) => Promise<StepMetrics[]>): Promise<string[]> {
  const output = await mkdtemp(join(tmpdir(), 'hdpo-example-'))
  const lines: string[] = []
  try {
    const tell = (line: string) => lines.push(line)
    const metrics = await train({ coldStartSteps: 60, promptsPerStep: 4, steps: 2, output, tell })
    expect(metrics).toHaveLength(2)
    for (const step of metrics) {
      expect(step).toMatchObject({
        rollouts: 64,
        segments: 64,
        splitRollouts: 0,
        ungradedRollouts: 0,
        skipped: false,
      })
      expect(step.logprobDifference).toBeLessThan(1e-4)
    }
    expect(metrics[0]?.calls.ok).toBeGreaterThan(0)
    expect(lines.join('\n')).toContain('calls where the answer is known')
    return lines
  } finally {
    await rm(output, { recursive: true, force: true })
  }
}
