import { expect, it } from 'vitest'
import { oneStep } from './one-step.js'

it('makes efficient right rollouts likelier, wasteful and wrong ones less likely', async () => {
  const lines: string[] = []
  const { rollouts, gradientNorm, changes } = await oneStep({ tell: (line: string) => lines.push(line) })
  const [efficient, wasteful, wrong] = Object.values(changes)
  expect(rollouts).toBe(512)
  expect(gradientNorm).toBeGreaterThan(0)
  expect(efficient?.rollouts).toBeGreaterThan(0)
  expect(efficient?.nats).toBeGreaterThan(0)
  expect(wasteful?.nats).toBeLessThan(0)
  expect(wrong?.nats).toBeLessThan(0)
  expect(lines).toHaveLength(4)
})
