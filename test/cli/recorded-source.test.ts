import { describe, expect, it } from 'vitest'
import { trainSchema } from '../../lib/cli/config/config-schema.js'
import { trainEnvironment } from '../../lib/cli/config/recorded-source.js'

const config = (more: object) =>
  trainSchema.parse({
    policy: 'my-policy',
    algorithm: { name: 'hdpo' },
    groupSize: 4,
    promptsPerStep: 2,
    steps: 10,
    optimizer: { learningRate: 1e-5 },
    output: 'run',
    recordedRollouts: { path: 'runs/served/rollouts.jsonl' },
    ...more,
  })

describe('recordedRollouts in a train config', () => {
  it('are graded by what was reported, with the weights of the config', async () => {
    const { reward, tasks, tools } = await trainEnvironment(config({ reward: { formatWeight: 0 } }), '.')
    expect([tasks, tools]).toEqual([[], []])
    expect(reward.formatWeight).toBe(0)
    expect(reward.answer({ outcome: { correct: true } } as never, {} as never)).toBe(true)
  })

  it('need tasks for a reward that compares answers', async () => {
    const wrong = trainEnvironment(config({ reward: { answer: 'exact-match' } }), '.')
    await expect(wrong).rejects.toThrow(/reward\.answer: needs tasks/)
  })

  it('cannot be evaluated by whoever played them', async () => {
    await expect(trainEnvironment(config({ evaluate: { every: 5 } }), '.')).rejects.toThrow(
      /^evaluate: .*hdpo eval/,
    )
  })
})
