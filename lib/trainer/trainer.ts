// The reinforcement-learning loop. Each step: prompts -> groups of rollouts -> rewards -> advantages ->
// optimiser updates.
import { join } from 'node:path'
import { functionIdentity } from '../core/function-identity.js'
import { timed } from '../core/seconds.js'
import { deriveSeed } from '../core/seed.js'
import { evaluate } from '../evaluation/evaluate.js'
import { gradedMetrics } from '../evaluation/metrics.js'
import { assignAdvantages, lossWeights } from '../hdpo/algorithms.js'
import type { PolicyBatch, PolicyLossOptions, StepResult } from '../native/types.js'
import { describeAllWrong } from '../rewards/all-wrong.js'
import { checkAnswers } from '../rewards/check-answers.js'
import { rewardIdentity } from '../rewards/reward-identity.js'
import { partitionGraded, scoreRollouts } from '../rewards/rewards.js'
import { runGroup } from '../rollout/group.js'
import type { ScoredRollout, UngradedRollout } from '../rollout/types.js'
import type { RunFolder } from '../run/run-folder.js'
import { type RunState, taskFingerprint, toolIdentity } from '../run/run-state.js'
import { eachTask, taskAt } from '../tasks/task-list.js'
import { packPolicyBatch } from './batch.js'
import { checkPrompts } from './check-prompts.js'
import { EngineClock } from './engine-clock.js'
import { type RolloutDrift, rolloutDrift, weighByImportance } from './importance.js'
import { advantageSpread, lossMetrics, noLoss, type StepMetrics } from './metrics.js'
import { PromptOrder } from './prompt-order.js'
import { checkReference, writeReference } from './reference-weights.js'
import { checkRunOptions, type Progress, type RecordedStep, type RunOptions, runLoop } from './run-loop.js'
import { optimizerAt } from './schedule.js'
import { notFinite, type SkipReason } from './skip-guard.js'
import { type ResolvedTrainerOptions, resolveTrainerOptions, type TrainerOptions } from './trainer-options.js'
import { attachTrainingLogprobs } from './training-logprobs.js'
import { allUnknown } from './unknown-tools.js'

type ScoredGroup = (ScoredRollout | UngradedRollout)[]
export type AssignedRollout = ScoredRollout & { accuracyAdvantage: number; efficiencyAdvantage: number }

export interface TrainerStep extends RecordedStep {
  metrics: StepMetrics
  /** The graded rollouts, one list per prompt, in order of the step's prompts. */
  groups: AssignedRollout[][]
  /** All rollouts, one list per prompt, in order, including those that could not be graded. */
  rollouts: (AssignedRollout | UngradedRollout)[][]
}

export class Trainer {
  readonly #options: ResolvedTrainerOptions
  readonly #order: PromptOrder
  #saidUnknown = false

  constructor(options: TrainerOptions) {
    this.#options = resolveTrainerOptions(options)
    this.#order = new PromptOrder(options.tasks.length, this.#options.seed)
  }

  /** Yields after each step; by then its metrics, rollouts and checkpoint are in the run folder. */
  run(options: RunOptions = {}): AsyncGenerator<TrainerStep, void, void> {
    checkRunOptions(options)
    const { policy, steps, output, checkpointEvery, keepCheckpoints, maxSkippedSteps, onWarning, loggers } =
      this.#options
    return runLoop<TrainerStep>(
      {
        kind: 'policy',
        policy,
        steps,
        identity: this.#identity(),
        ...(this.#options.config !== undefined && { config: this.#options.config }),
        output,
        checkpointEvery,
        keepCheckpoints,
        maxSkippedSteps,
        onWarning,
        loggers,
        index: this.#options.index,
        prepare: async (folder, resumed) => {
          await this.#checkAnswers(options.signal)
          if (!resumed) await this.#checkPrompts(options.signal)
          return this.#freezeReference(folder, resumed)
        },
        takeStep: (step, progress) => this.#step(step, progress),
        describeRollouts: ({ rollouts }) => describeRollouts(rollouts),
      },
      options,
    )
  }

  async #checkAnswers(signal: AbortSignal | undefined): Promise<void> {
    const { tasks, reward, evaluate: asked } = this.#options
    await checkAnswers(reward.answer, eachTask(tasks), signal)
    if (asked) await checkAnswers((asked.reward ?? reward).answer, asked.tasks, signal)
  }

  /** Checks the prompts, unless a user's own agent makes them. */
  async #checkPrompts(signal: AbortSignal | undefined): Promise<void> {
    const { policy, tasks, tools, rollout, steps, promptsPerStep } = this.#options
    if (this.#options.runGroup !== runGroup) return
    const count = Math.min(steps * promptsPerStep, tasks.length)
    const indices = Array.from({ length: count }, (_, position) => this.#order.at(position))
    await checkPrompts({ policy, tasks, tools, rollout: rollout ?? {}, indices, signal })
  }

  /** The KL term's reference is the policy that the run began with, also after the run was resumed. */
  async #freezeReference(folder: RunFolder, resumed: RunState | undefined) {
    const { policy, klCoefficient } = this.#options
    if (klCoefficient === 0) return {}
    if (policy.lora) {
      await policy.freezeReference()
      return {}
    }
    const path = join(folder.path, 'reference.safetensors')
    const reference = resumed
      ? await checkReference(path, resumed)
      : await writeReference(path, () => policy.saveWeights(path))
    if (resumed) await policy.loadWeights(path)
    await policy.freezeReference()
    return { reference }
  }

  /** What a resumed run may not change. `steps` may grow, unless the learning rate depends on it. */
  #identity(): RunState['identity'] {
    const { seed, groupSize, promptsPerStep, algorithm, klCoefficient, passes, miniBatches } = this.#options
    const { optimizer, loss, rollout, importanceCap, tools, reward, runGroup: played } = this.#options
    const { evaluate: evaluated } = this.#options
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
      ...(importanceCap !== undefined && { importanceCap }),
      ...(optimizer.schedule === 'cosine' && { steps: this.#options.steps }),
      tasks: taskFingerprint(this.#options.tasks),
      tools: toolIdentity(tools),
      reward: rewardIdentity(reward),
      ...(played !== runGroup && { runGroup: played.identity ?? functionIdentity(played) }),
      ...(evaluated && {
        evaluate: {
          tasks: taskFingerprint(evaluated.tasks),
          samples: evaluated.samples,
          ...(evaluated.reward && { reward: rewardIdentity(evaluated.reward) }),
        },
      }),
    }
  }

  async #step(step: number, { skips, warn }: Progress): Promise<TrainerStep> {
    const { steps, optimizer, promptsPerStep } = this.#options
    const seconds = { rollout: 0, advantages: 0, train: 0, evaluate: 0 }
    const engine = await EngineClock.start(this.#options.policy)
    const scored = await timed(seconds, 'rollout', () => this.#rollOut(step))
    const engineIdleShare = await engine.idleShare(seconds.rollout)
    const ungraded = scored.flatMap((group) => partitionGraded(group).ungraded)
    const groups = await timed(seconds, 'advantages', () => this.#assign(scored))
    const nativeOptimizer = optimizerAt(step, steps, optimizer)
    const { updates, drift } = await timed(seconds, 'train', () => this.#update(groups, nativeOptimizer))
    const skipped = updates.length === 0 || updates.some((update) => update.skipped)
    skips.record(skipped, updates.length === 0 ? nothingGraded(ungraded) : notFinite)
    if (ungraded.length > 0)
      warn(`step ${step}: ${ungraded.length} rollouts were not graded; the first: ${ungraded[0]?.ungraded}`)
    const evaluation = await timed(seconds, 'evaluate', () => this.#evaluate(step))
    const rollouts = gradedMetrics(groups, ungraded)
    // An agent of the user's runs the tools itself, and may grade itself.
    if (this.#options.runGroup === runGroup) await this.#warnOfMistakes(step, scored, groups, warn)
    const report = this.#options.reward.answer.report?.()
    const metrics: StepMetrics = {
      step,
      epoch: this.#order.epoch(step, promptsPerStep),
      ...rollouts,
      ...advantageSpread(groups),
      ...(updates.length === 0 ? noLoss : lossMetrics(updates)),
      learningRate: nativeOptimizer.learningRate,
      skipped,
      skippedSteps: skips.state.total,
      tokensPerSecond: rollouts.sampledTokens / seconds.rollout,
      engineIdleShare,
      seconds,
      ...(drift && { drift }),
      ...(evaluation && { evaluation }),
      ...(report && { reward: report }),
    }
    return { step, metrics, groups, rollouts: inOrder(scored, groups) }
  }

  /**
   * Rolls out all groups at once: the native scheduler batches whatever is waiting, and holds back sequences
   * that the KV budget has no room for.
   */
  #rollOut(step: number): Promise<ScoredGroup[]> {
    const { policy, tasks, tools, rollout, runGroup, reward, groupSize, promptsPerStep, seed } = this.#options
    const prompts = this.#order.batch(step, promptsPerStep)
    return Promise.all(
      prompts.map(async (index, place) => {
        const task = await taskAt(tasks, index)
        const group = await runGroup(policy, task, tools, {
          ...rollout,
          size: groupSize,
          seed: deriveSeed(seed, 'rollouts', step, place),
        })
        return scoreRollouts(group, task, reward)
      }),
    )
  }

  /** What would otherwise show as zeros alone: tools that the policy does not know, answers in another form than the reward reads. */
  async #warnOfMistakes(
    step: number,
    scored: readonly ScoredGroup[],
    groups: readonly AssignedRollout[][],
    warn: (message: string) => void,
  ) {
    const { tasks, tools, promptsPerStep } = this.#options
    const unknown = this.#saidUnknown ? undefined : allUnknown(scored.flat(), tools)
    if (unknown !== undefined) {
      this.#saidUnknown = true
      warn(`step ${step}: ${unknown}`)
    }
    if (step > 1) return
    const wrong = await describeAllWrong(groups, async (wanted) => {
      const asked = await Promise.all(
        this.#order.batch(step, promptsPerStep).map((index) => taskAt(tasks, index)),
      )
      return asked.find(({ id }) => id === wanted)
    })
    if (wrong !== undefined) warn(`step ${step}: ${wrong}`)
  }

  /** Ungraded rollouts are in no group: they have no advantage, and no other advantage depends on them. */
  async #assign(scored: ScoredGroup[]): Promise<AssignedRollout[][]> {
    const groups = scored.map((group) => partitionGraded(group).graded)
    return assignAdvantages(groups, this.#options.algorithm)
  }

  /** Results of the updates, empty if nothing was graded. */
  async #update(
    groups: AssignedRollout[][],
    optimizer: ReturnType<typeof optimizerAt>,
  ): Promise<{ updates: StepResult[]; drift?: RolloutDrift }> {
    const { policy, passes, miniBatches, importanceCap } = this.#options
    const loss = this.#lossOptions()
    const parts = split(groups, miniBatches)
      .map((part) => part.flat())
      .filter(({ length }) => length > 0)
    const sampled: PolicyBatch[] = []
    for (const rollouts of parts) sampled.push(await this.#withReference(packPolicyBatch(rollouts)))
    const batches = importanceCap === undefined ? sampled : await this.#weigh(sampled, importanceCap)
    const updates: StepResult[] = []
    for (let pass = 0; pass < passes; pass++) {
      for (const [index, batch] of batches.entries()) {
        if (pass === passes - 1) await this.#recordLogprobs(parts[index] ?? [], batch)
        updates.push(await policy.policyStep(batch, loss, optimizer))
      }
    }
    return {
      updates,
      ...(importanceCap !== undefined && { drift: rolloutDrift(sampled, batches, importanceCap) }),
    }
  }

  /** Call it right before the last update on the batch. */
  async #recordLogprobs(rollouts: readonly AssignedRollout[], batch: PolicyBatch): Promise<void> {
    const { policy, rollout, recordTrainingLogprobs } = this.#options
    if (!recordTrainingLogprobs) return
    const { temperature } = rollout
    const { logprobs } = await policy.logprobs(batch.tokens, batch.offsets, { temperature })
    attachTrainingLogprobs(rollouts, logprobs)
  }

  /** Called before any update, so that all importance weights refer to the model at the start of the step. */
  async #weigh(batches: readonly PolicyBatch[], cap: number): Promise<PolicyBatch[]> {
    const { policy, rollout } = this.#options
    const weighted: PolicyBatch[] = []
    for (const batch of batches) {
      const { temperature } = rollout
      const { logprobs } = await policy.logprobs(batch.tokens, batch.offsets, { temperature })
      weighted.push(weighByImportance(batch, logprobs, cap))
    }
    return weighted
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
      reward: wanted.reward ?? reward,
      rollout,
      runGroup,
      seed: deriveSeed(seed, 'evaluate'),
      ...(samples !== undefined && { samples }),
      ...(knowledge && { knowledge }),
    })
    // Metrics outside `seconds` stay the same when the run is repeated.
    const { toolSecondsPerRollout: _, ...summary } = evaluation.summary
    return summary
  }
}

/** `parts` slices in order, whose lengths differ by at most one. */
function split<Item>(items: readonly Item[], parts: number): Item[][] {
  return Array.from({ length: parts }, (_, part) =>
    items.slice(Math.floor((part * items.length) / parts), Math.floor(((part + 1) * items.length) / parts)),
  )
}

/** The rollouts as they were scored, the graded ones with their advantages. */
function inOrder(
  scored: readonly ScoredGroup[],
  groups: readonly AssignedRollout[][],
): (AssignedRollout | UngradedRollout)[][] {
  return scored.map((group, prompt) => {
    const graded = [...(groups[prompt] ?? [])]
    return group.map((rollout) =>
      rollout.ungraded === undefined ? (graded.shift() as AssignedRollout) : rollout,
    )
  })
}

function nothingGraded(ungraded: readonly UngradedRollout[]): SkipReason {
  return { code: 'ERR_UNGRADED', text: `no rollout could be graded: ${ungraded[0]?.ungraded}` }
}

function describeRollouts(groups: readonly (AssignedRollout | UngradedRollout)[][]): object[] {
  return groups.flatMap((group, prompt) => group.map((played, rollout) => ({ prompt, rollout, ...played })))
}
