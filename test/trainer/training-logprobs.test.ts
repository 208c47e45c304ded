import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RunStore } from '../../lib/run/store/run-store.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import { attachTrainingLogprobs } from '../../lib/trainer/training-logprobs.js'
import { lookup, rightIf42, tasks } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-logprobs-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const sequence = (length: number) => ({
  tokens: new Int32Array(length),
  mask: new Uint8Array(length).fill(1),
  logprobs: new Float32Array(length),
})

describe('recordTrainingLogprobs', () => {
  it('gives each sequence its part of the batch, those of one rollout side by side', () => {
    const more = sequence(1)
    const rollouts = [
      { ...sequence(2), moreSequences: [more], accuracyAdvantage: 0, efficiencyAdvantage: 0 },
      { ...sequence(3), accuracyAdvantage: 0, efficiencyAdvantage: 0 },
    ]
    attachTrainingLogprobs(rollouts, Float32Array.from([-1, -2, -3, -4, -5, -6]))
    expect(rollouts[0]).toMatchObject({ trainingLogprobs: Float32Array.from([-1, -2]) })
    expect(more).toMatchObject({ trainingLogprobs: Float32Array.from([-3]) })
    expect(rollouts[1]).toMatchObject({ trainingLogprobs: Float32Array.from([-4, -5, -6]) })
  })

  it('is in the run folder and its index', async () => {
    const trainer = new Trainer({
      policy: new ScriptedPolicy(),
      tasks: tasks(4),
      tools: [lookup],
      reward: rightIf42,
      algorithm: { name: 'hdpo' },
      groupSize: 2,
      promptsPerStep: 2,
      miniBatches: 2,
      steps: 1,
      optimizer: { learningRate: 0.001 },
      output: folder,
      recordTrainingLogprobs: true,
    })
    for await (const { metrics } of trainer.run())
      expect(metrics.accuracyAdvantageSpread).toBeGreaterThanOrEqual(0)
    const store = RunStore.open(folder)
    store.updateAll()
    const recorded = (prompt: number) =>
      store
        .group(1, prompt)
        .map(({ id }) => store.rollout(id)?.sequences[0]?.trainingLogprobs ?? new Float32Array(0))
    const distinct = (prompt: number) => [...new Set(recorded(prompt).flatMap((logprobs) => [...logprobs]))]
    // The scripted policy has one logprob for every token: -1 at the first mini-batch, another after its update.
    expect(recorded(0).every(({ length }) => length > 0)).toBe(true)
    expect(distinct(0)).toEqual([-1])
    expect(distinct(1)).toHaveLength(1)
    expect(distinct(1)).not.toEqual([-1])
    store.close()
  })
})
