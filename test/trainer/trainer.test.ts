import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PolicyBatch } from '../../lib/native/types.js'
import { rolloutShape } from '../../lib/rollout/options.js'
import { readMetrics } from '../../lib/run/metrics-file.js'
import type { StepMetrics } from '../../lib/trainer/metrics.js'
import { Trainer, type TrainerStep } from '../../lib/trainer/trainer.js'
import type { TrainerOptions } from '../../lib/trainer/trainer-options.js'
import { refuses } from '../core/wrong-options.js'
import { lookup, rightIf42, tasks } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-trainer-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function train(policy: ScriptedPolicy, output: string, options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    policy,
    tasks: tasks(10),
    tools: [lookup],
    reward: rightIf42,
    algorithm: { name: 'grpo' },
    groupSize: 4,
    promptsPerStep: 3,
    steps: 8,
    optimizer: { learningRate: 0.001, warmupSteps: 2 },
    output: join(folder, output),
    seed: 5,
    checkpointEvery: 3,
    ...options,
  })
}

async function drain(
  steps: AsyncIterable<TrainerStep>,
  until = Number.POSITIVE_INFINITY,
): Promise<TrainerStep[]> {
  const seen: TrainerStep[] = []
  for await (const step of steps) {
    seen.push(step)
    if (step.step >= until) break
  }
  return seen
}

/** Metrics without times. */
const numbers = (metrics: StepMetrics[]) =>
  metrics.map(({ seconds: _, tokensPerSecond: __, engineIdleShare: ___, ...rest }) => rest)

describe('Trainer', () => {
  it('packs groups in the order of prompts and rollouts, with the advantages of each', async () => {
    const policy = new ScriptedPolicy()
    const [step] = await drain(train(policy, 'run').run(), 1)
    const batch = policy.calls[0]?.batch as PolicyBatch
    const rollouts = step?.groups.flat() ?? []
    expect(step?.groups.map((group) => group.length)).toEqual([4, 4, 4])
    expect(batch.offsets).toHaveLength(13)
    rollouts.forEach((rollout, index) => {
      expect(batch.tokens.slice(batch.offsets[index], batch.offsets[index + 1])).toEqual(rollout.tokens)
      expect(batch.oldLogprobs.slice(batch.offsets[index], batch.offsets[index + 1])).toEqual(
        rollout.logprobs,
      )
      expect(batch.accuracyAdvantages[index]).toBeCloseTo(rollout.accuracyAdvantage, 6)
    })
    for (const group of step?.groups ?? []) expect(new Set(group.map(({ taskId }) => taskId)).size).toBe(1)
    expect(rollouts.some(({ accuracyAdvantage }) => accuracyAdvantage !== 0)).toBe(true)
  })

  it('depends on the seed alone', async () => {
    const weightsAfter = async (output: string, seed: number) => {
      const policy = new ScriptedPolicy()
      await drain(train(policy, output, { seed }).run(), 2)
      return policy.weights
    }
    const first = await weightsAfter('a', 5)
    expect(await weightsAfter('b', 5)).toBe(first)
    expect(await weightsAfter('c', 6)).not.toBe(first)
  })

  it('resumes to the numbers of an unbroken run, reference and evaluations included', async () => {
    const options = { klCoefficient: 0.1, evaluate: { tasks: tasks(4), every: 2, samples: 2 } }
    const whole = new ScriptedPolicy()
    await drain(train(whole, 'whole', options).run())
    await drain(train(new ScriptedPolicy(), 'cut', options).run(), 5)

    const resumed = new ScriptedPolicy()
    const steps = await drain(train(resumed, 'cut', options).run({ resume: true }))
    expect(steps.map(({ step }) => step)).toEqual([4, 5, 6, 7, 8])
    expect(resumed.weights).toBe(whole.weights)
    expect(resumed.reference).toBe(1)
    const metrics = await readMetrics<StepMetrics>(join(folder, 'cut'))
    expect(numbers(metrics)).toEqual(numbers(await readMetrics(join(folder, 'whole'))))
    expect(metrics.map(({ evaluation }) => evaluation !== undefined)).toEqual(
      [0, 1, 0, 1, 0, 1, 0, 1].map(Boolean),
    )
  })

  it('grades evaluations by a reward of their own where there is one', async () => {
    const evaluate = { tasks: tasks(2), every: 1, reward: { answer: () => true } }
    const [step] = await drain(train(new ScriptedPolicy(), 'graded', { evaluate }).run(), 1)
    expect(step?.metrics.evaluation?.accuracy).toBe(1)
    expect(step?.metrics.accuracy).toBeLessThan(1)
  })

  it('gives the loss the reference logprobs of every mini-batch', async () => {
    const policy = new ScriptedPolicy()
    await drain(train(policy, 'run', { klCoefficient: 0.1, miniBatches: 2, passes: 2 }).run(), 1)
    expect(policy.calls).toHaveLength(4)
    // 3 prompts of 4 rollouts each are split into 1 and 2 prompts, twice.
    expect(policy.calls.map(({ batch }) => batch.offsets.length - 1)).toEqual([4, 8, 4, 8])
    for (const { batch, loss } of policy.calls) {
      expect((batch as PolicyBatch).referenceLogprobs).toEqual(new Float32Array(batch.tokens.length).fill(-1))
      expect(loss).toMatchObject({ klCoefficient: 0.1, temperature: 1 })
    }
  })

  it('corrects rollouts of another model by importance weights against the policy before the step', async () => {
    const policy = new ScriptedPolicy()
    const [step] = await drain(train(policy, 'run', { importanceCap: 2, miniBatches: 2, passes: 2 }).run(), 1)
    expect(policy.calls).toHaveLength(4)
    // The scripted policy's logprobs are -1 before the step, whatever it said while sampling.
    for (const { batch } of policy.calls) {
      const { oldLogprobs, importanceWeights } = batch as PolicyBatch
      expect(oldLogprobs).toEqual(new Float32Array(batch.tokens.length).fill(-1))
      expect(importanceWeights).toHaveLength(batch.tokens.length)
    }
    expect(step?.metrics.drift).toMatchObject({ capped: expect.any(Number), meanWeight: expect.any(Number) })
    const plain = new ScriptedPolicy()
    const [uncorrected] = await drain(train(plain, 'plain').run(), 1)
    expect(plain.calls[0]?.batch).not.toHaveProperty('importanceWeights')
    expect(uncorrected?.metrics.drift).toBeUndefined()
    const int8 = Object.assign(new ScriptedPolicy(), { generationPrecision: 'int8' as const })
    const [corrected] = await drain(train(int8, 'int8').run(), 1)
    expect(corrected?.metrics.drift).toBeDefined()
  })

  it('weights the channels by the algorithm', async () => {
    const weights = async (algorithm: TrainerOptions['algorithm']) => {
      const policy = new ScriptedPolicy()
      await drain(train(policy, algorithm.name, { algorithm }).run(), 1)
      return policy.calls[0]?.loss
    }
    expect(await weights({ name: 'grpo' })).toMatchObject({ accuracyWeight: 1, efficiencyWeight: 0 })
  })

  it('follows the schedule', async () => {
    const policy = new ScriptedPolicy()
    const steps = await drain(train(policy, 'run').run(), 3)
    expect(steps.map(({ metrics }) => metrics.learningRate)).toEqual([0.0005, 0.001, 0.001])
    expect(policy.calls.map(({ optimizer }) => optimizer.learningRate)).toEqual([0.0005, 0.001, 0.001])
  })

  it('keeps every rollout with rewards, advantages, messages, tokens and logprobs', async () => {
    const [step] = await drain(train(new ScriptedPolicy(), 'run').run(), 1)
    const lines = (await readFile(join(folder, 'run', 'rollouts', 'step-000001.jsonl'), 'utf8'))
      .trim()
      .split('\n')
    expect(lines).toHaveLength(12)
    const last = JSON.parse(lines.at(-1) as string)
    const rollout = step?.groups[2]?.[3]
    expect(last).toMatchObject({
      prompt: 2,
      rollout: 3,
      taskId: rollout?.taskId,
      answerReward: rollout?.answerReward,
    })
    expect(last).toMatchObject({
      accuracyAdvantage: rollout?.accuracyAdvantage,
      efficiencyAdvantage: rollout?.efficiencyAdvantage,
    })
    expect(last.tokens).toEqual(Array.from(rollout?.tokens ?? []))
    expect(Float32Array.from(last.logprobs)).toEqual(rollout?.logprobs)
    expect(last.messages.length).toBeGreaterThan(1)
  })

  it('writes a line of metrics a step', async () => {
    await drain(train(new ScriptedPolicy(), 'run').run(), 2)
    const [first] = await readMetrics<StepMetrics>(join(folder, 'run'))
    expect(first).toMatchObject({ step: 1, epoch: 0, rollouts: 12, skipped: false, skippedSteps: 0 })
    expect(first?.accuracy).toBeGreaterThan(0)
    expect(Object.keys(first?.seconds ?? {})).toEqual(['rollout', 'advantages', 'train', 'evaluate'])
  })

  it('stops after maxSkippedSteps that are not finite and keeps the last good checkpoint', async () => {
    const policy = new ScriptedPolicy()
    policy.notFinite = (call) => call > 4
    const run = train(policy, 'run', { maxSkippedSteps: 2, onWarning: () => {} }).run()
    await expect(drain(run)).rejects.toMatchObject({
      code: 'ERR_NON_FINITE',
      message: expect.stringMatching(/^step 6: .*step-3$/),
    })
    const [next] = await drain(train(new ScriptedPolicy(), 'run').run({ resume: true }), 4)
    expect(next?.step).toBe(4)
  })
})

describe('the constructor of Trainer refuses', () => {
  const policy = new ScriptedPolicy()
  const atLeastOne = 'must be a whole number of at least 1'
  refuses(
    (options: Partial<TrainerOptions>) => train(policy, 'run', options),
    [
      [{ policy: './model' }, "policy: must be a policy, got './model'"],
      [{ tasks: [] }, 'tasks: must be a list of at least one task, got []'],
      [{ tasks: 'tasks.jsonl' }, "tasks: must be a list of tasks, got 'tasks.jsonl'"],
      [
        { tools: 'lookup' },
        "tools: must be a list of tools with different names, each from defineTool (of the AI SDK: await fromAiSdk(tools)), got 'lookup'",
      ],
      [{ reward: { answer: 'exact-match' } }, "reward.answer: must be a function, got 'exact-match'"],
      [{ reward: undefined }, 'reward: must be an object, got undefined'],
      [
        { algorithm: { name: 'ppo' } },
        "algorithm.name: must be one of hdpo, grpo, grpo-coupled, gdpo, got 'ppo'",
      ],
      [
        { algorithm: { name: 'hdpo', efficiencyWeight: -1 } },
        'algorithm.efficiencyWeight: must be at least 0, got -1',
      ],
      [
        { algorithm: { name: 'grpo-coupled', alpha: 1, callPenalty: 2 } },
        'algorithm.callPenalty: must be left out where alpha is given: they are two forms of one reward, got 2',
      ],
      [{ groupSize: 0 }, 'groupSize: must be a whole number of at least 2, got 0'],
      [{ groupSize: 1 }, 'groupSize: must be a whole number of at least 2, got 1'],
      [{ groupSize: undefined }, 'groupSize: must be a whole number of at least 2, got undefined'],
      [{ miniBatches: 4 }, 'miniBatches: must be at most promptsPerStep (3), got 4'],
      [{ importanceCap: 0 }, 'importanceCap: must be greater than 0, got 0'],
      [
        { recordTrainingLogprobs: true, importanceCap: 2 },
        'recordTrainingLogprobs: must be false where importanceCap is at work (with int8 rollouts it is): ' +
          'the ratio is not that of the recorded logprobs, got true',
      ],
      [{ klCoefficient: -1 }, 'klCoefficient: must be at least 0, got -1'],
      [{ output: '' }, "output: must be text that is not empty, got ''"],
      [{ output: undefined }, 'output: must be text, got undefined'],
      [{ loss: { clipLow: 2 } }, 'loss.clipLow: must be 0 to 1, got 2'],
      [
        { loss: { surrogate: 'cispo' } },
        'loss.surrogate: must be left out (there is no such option; ' +
          "known: aggregation, clipLow, clipHigh, dualClip, entropyCoefficient), got 'cispo'",
      ],
      [{ rollout: { temperature: 0 } }, 'rollout.temperature: must be greater than 0, got 0'],
      [
        { rollout: { turns: 3 } },
        'rollout.turns: must be left out (there is no such option; ' +
          `known: ${Object.keys(rolloutShape).join(', ')}), got 3`,
      ],
      [
        { optimizer: {} },
        'optimizer.learningRate: must be a number greater than 0 and at most 1, got undefined',
      ],
      [{ optimizer: undefined }, 'optimizer: must be an object, got undefined'],
      [
        { optimizer: { learningRate: '1e-4' } },
        "optimizer.learningRate: must be a number greater than 0 and at most 1, got '1e-4'",
      ],
      [{ evaluate: { tasks: [], every: 0 } }, `evaluate.every: ${atLeastOne}, got 0`],
      [
        { evaluate: { tasks: [], every: 1, reward: { answer: 'exact-match' } } },
        "evaluate.reward.answer: must be a function, got 'exact-match'",
      ],
      [
        { group_size: 4, groupSize: undefined },
        'group_size: must be left out (there is no such option; did you mean groupSize?), got 4',
      ],
    ],
  )

  describe('in place of its options', () => {
    refuses(
      (options: TrainerOptions) => new Trainer(options),
      [
        [null, 'options: must be an object, got null'],
        [undefined, 'options: must be an object, got undefined'],
        ['config.yaml', "options: must be an object, got 'config.yaml'"],
      ],
    )
  })

  it('nothing of what may be given as undefined', () => {
    const absent = {
      seed: undefined,
      rollout: undefined,
      loss: undefined,
      loggers: undefined,
      runGroup: undefined,
    }
    expect(() => train(policy, 'run', absent as Partial<TrainerOptions>)).not.toThrow()
  })
})
