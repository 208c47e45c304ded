// The reinforcement-learning loop: prompts -> groups of rollouts -> rewards -> advantages -> optimiser
// updates, a step at a time.
import { join } from 'node:path'
import { assignAdvantages, lossWeights } from '../hdpo/algorithms.js'
import type { PolicyBatch, PolicyLossOptions, StepResult } from '../native.js'
import { scoreTrajectories } from '../rewards/rewards.js'
import { deriveSeed } from '../rollout/seed.js'
import type { ScoredTrajectory, Task } from '../rollout/types.js'
import { packPolicyBatch } from './batch.js'
import { evaluate } from './evaluate.js'
import { lossMetrics, rolloutMetrics, type StepMetrics } from './metrics.js'
import { PromptOrder } from './prompt-order.js'
import type { RunFolder } from './run-folder.js'
import { type RecordedStep, type RunOptions, runLoop } from './run-loop.js'
import { fingerprint, type RunState } from './run-state.js'
import { optimizerAt } from './schedule.js'
import { timed } from './seconds.js'
import type { SkipGuard } from './skip-guard.js'
import { type ResolvedTrainerOptions, resolveTrainerOptions, type TrainerOptions } from './trainer-options.js'

export type AssignedTrajectory = ScoredTrajectory & { accuracyAdvantage: number; efficiencyAdvantage: number }

export interface TrainerStep extends RecordedStep {
  metrics: StepMetrics
  /** One list a prompt, in order of the step's prompts. */
  groups: AssignedTrajectory[][]
}

export class Trainer {
  readonly #options: ResolvedTrainerOptions
  readonly #order: PromptOrder

  constructor(options: TrainerOptions) {
    this.#options = resolveTrainerOptions(options)
    this.#order = new PromptOrder(options.tasks.length, this.#options.seed)
  }

  /** Yields after each step; by then its metrics, rollouts and checkpoint are in the run folder. */
  run(options: RunOptions = {}): AsyncGenerator<TrainerStep, void, void> {
    const { policy, steps, output, checkpointEvery, keepCheckpoints, maxSkippedSteps, onWarning } =
      this.#options
    return runLoop<TrainerStep>(
      {
        kind: 'policy',
        policy,
        steps,
        identity: this.#identity(),
        output,
        checkpointEvery,
        keepCheckpoints,
        maxSkippedSteps,
        onWarning,
        prepare: (folder) => this.#freezeReference(folder),
        takeStep: (step, { skips }) => this.#step(step, skips),
        describeRollouts: ({ groups }) => describeRollouts(groups),
      },
      options,
    )
  }

  /** The reference of the KL term is the policy that the run began with, also after it was resumed. */
  async #freezeReference(folder: RunFolder): Promise<void> {
    const { policy, klCoefficient } = this.#options
    if (klCoefficient === 0) return
    const path = join(folder.path, 'reference.safetensors')
    if (folder.resumedFrom) await policy.loadWeights(path)
    else await policy.saveWeights(path)
    await policy.freezeReference()
  }

  /** What a resumed run may not change. `steps` may grow, unless the learning rate depends on it. */
  #identity(): RunState['identity'] {
    const { seed, groupSize, promptsPerStep, algorithm, klCoefficient, passes, miniBatches } = this.#options
    const { optimizer, loss, rollout } = this.#options
    return {
      seed,
      groupSize,
      promptsPerStep,
      algorithm,
      klCoefficient,
      passes,
      miniBatches,
      optimizer,
      loss,
      rollout,
      ...(optimizer.schedule === 'cosine' && { steps: this.#options.steps }),
      tasks: fingerprint(this.#options.tasks),
    }
  }

  async #step(step: number, skips: SkipGuard): Promise<TrainerStep> {
    const { steps, optimizer, promptsPerStep } = this.#options
    const seconds = { rollout: 0, advantages: 0, train: 0, evaluate: 0 }
    const scored = await timed(seconds, 'rollout', () => this.#rollOut(step))
    const groups = await timed(seconds, 'advantages', () => this.#assign(scored))
    const nativeOptimizer = optimizerAt(step, steps, optimizer)
    const updates = await timed(seconds, 'train', () => this.#update(groups, nativeOptimizer))
    const skipped = updates.some((update) => update.skipped)
    skips.record(skipped)
    const evaluation = await timed(seconds, 'evaluate', () => this.#evaluate(step))
    const rollouts = rolloutMetrics(groups)
    const metrics: StepMetrics = {
      step,
      epoch: this.#order.epoch(step, promptsPerStep),
      ...rollouts,
      ...lossMetrics(updates),
      learningRate: nativeOptimizer.learningRate,
      skipped,
      skippedSteps: skips.state.total,
      tokensPerSecond: rollouts.sampledTokens / seconds.rollout,
      seconds,
      ...(evaluation && { evaluation }),
    }
    return { step, metrics, groups }
  }

  /**
   * All groups at once: the native scheduler batches whatever is waiting, and holds back what the KV budget
   * has no room for.
   */
  #rollOut(step: number): Promise<ScoredTrajectory[][]> {
    const { policy, tasks, tools, rollout, runGroup, reward, groupSize, promptsPerStep, seed } = this.#options
    const prompts = this.#order.batch(step, promptsPerStep)
    return Promise.all(
      prompts.map(async (index, place) => {
        const task = tasks[index] as Task
        const group = await runGroup(policy, task, tools, {
          ...rollout,
          size: groupSize,
          seed: deriveSeed(seed, 'rollouts', step, place),
        })
        return scoreTrajectories(group, task, reward)
      }),
    )
  }

  async #assign(groups: ScoredTrajectory[][]): Promise<AssignedTrajectory[][]> {
    return assignAdvantages(groups, this.#options.algorithm)
  }

  async #update(
    groups: AssignedTrajectory[][],
    optimizer: ReturnType<typeof optimizerAt>,
  ): Promise<StepResult[]> {
    const { policy, passes, miniBatches } = this.#options
    const loss = this.#lossOptions()
    const batches: PolicyBatch[] = []
    for (const part of split(groups, miniBatches))
      batches.push(await this.#withReference(packPolicyBatch(part.flat())))
    const results: StepResult[] = []
    for (let pass = 0; pass < passes; pass++) {
      for (const batch of batches) results.push(await policy.policyStep(batch, loss, optimizer))
    }
    return results
  }

  async #withReference(batch: PolicyBatch): Promise<PolicyBatch> {
    const { policy, klCoefficient, rollout } = this.#options
    if (klCoefficient === 0) return batch
    const { logprobs } = await policy.logprobs(batch.tokens, batch.offsets, {
      temperature: rollout.temperature,
      reference: true,
    })
    return { ...batch, referenceLogprobs: logprobs }
  }

  #lossOptions(): PolicyLossOptions {
    const { loss, algorithm, klCoefficient, rollout } = this.#options
    return { ...loss, ...lossWeights(algorithm), klCoefficient, temperature: rollout.temperature }
  }

  async #evaluate(step: number) {
    const { policy, tools, reward, rollout, runGroup, seed, steps, evaluate: wanted } = this.#options
    if (!wanted || (step % wanted.every !== 0 && step !== steps)) return undefined
    const { tasks, samples, knowledge } = wanted
    const evaluation = await evaluate({
      policy,
      tasks,
      tools,
      reward,
      rollout,
      runGroup,
      seed: deriveSeed(seed, 'evaluate'),
      ...(samples !== undefined && { samples }),
      ...(knowledge && { knowledge }),
    })
    return evaluation.summary
  }
}

/** `parts` slices in order, whose lengths differ by one at most. */
function split<Item>(items: readonly Item[], parts: number): Item[][] {
  return Array.from({ length: parts }, (_, part) =>
    items.slice(Math.floor((part * items.length) / parts), Math.floor(((part + 1) * items.length) / parts)),
  )
}

function describeRollouts(groups: readonly AssignedTrajectory[][]): object[] {
  return groups.flatMap((group, prompt) =>
    group.map((trajectory, rollout) => ({ prompt, rollout, ...trajectory })),
  )
}
