// The whole story on the built-in task: cold start, what does it know, HDPO, what has changed. Every number
// is measured.
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../errors.js'
import { Policy, type PolicyOptions } from '../policy/policy.js'
import { deriveSeed } from '../rollout/seed.js'
import type { Task } from '../rollout/types.js'
import { type BuiltInFamily, builtInFamilies } from '../tasks/built-in-families.js'
import type { TaskFamily } from '../tasks/task-family.js'
import { type EvaluationSummary, evaluate, type Knowledge, measureKnown, summarize } from './evaluate.js'
import { curveTasks, type KeptKnowledge, keepKnowledge, toKnowledge } from './kept-knowledge.js'
import type { StepMetrics, SupervisedMetrics } from './metrics.js'
import { type QuickstartSettings, quickstartSettings } from './quickstart-settings.js'
import { type Report, renderReport } from './report.js'
import { readMetrics } from './run-folder.js'
import { Stages } from './stages.js'
import { SupervisedTrainer } from './supervised-trainer.js'
import { Trainer } from './trainer.js'

export interface QuickstartOptions {
  /** The task family. Default 'atlas'. */
  environment?: BuiltInFamily
  /** Questions, facts that are taught, initial weights, order and sampling all follow from it. */
  seed: number
  /** Folder of both runs, the policies and the report. */
  output: string
  /** Reinforcement-learning steps; default: those of the settings. */
  steps?: number
  policy?: PolicyOptions
  resume?: boolean
  /** Finish the running step, save and stop. */
  signal?: AbortSignal
  settings?: QuickstartSettings
  observer: QuickstartObserver
}

export interface QuickstartObserver {
  /** A stage begins. */
  stage(description: string): void
  coldStartStep(metrics: SupervisedMetrics, steps: number): void
  trainStep(metrics: StepMetrics, steps: number): void
  /** Something worth a line that stays. */
  note(line: string): void
}

export interface QuickstartResult {
  environment: BuiltInFamily
  report: Report
  reportPath: string
  policyPath: string
  knowledge: Knowledge
}

/** Undefined when `signal` stopped it: what was done is saved, and `resume` goes on from there. */
export async function runQuickstart(options: QuickstartOptions): Promise<QuickstartResult | undefined> {
  const run = await QuickstartRun.open(options)
  try {
    return await run.run()
  } catch (error) {
    const stopped = error instanceof Stopped || (options.signal?.aborted && error === options.signal.reason)
    if (stopped) return undefined
    throw error
  } finally {
    await run.close()
  }
}

/** Thrown by a stage that the signal ended, so that it leaves no result. */
class Stopped extends Error {}

/** On all held-out questions, and on those of the curves. */
interface HeldOutSummaries {
  all: EvaluationSummary
  curve: EvaluationSummary
}

class QuickstartRun {
  readonly #settings: QuickstartSettings
  readonly #steps: number
  readonly #seed: number

  #loaded: Policy | undefined

  private constructor(
    private readonly options: QuickstartOptions,
    private readonly stages: Stages,
    private readonly family: TaskFamily,
  ) {
    this.#settings = options.settings ?? quickstartSettings[options.environment ?? 'atlas']
    this.#steps = options.steps ?? this.#settings.train.steps
    this.#seed = options.seed
  }

  static async open(options: QuickstartOptions): Promise<QuickstartRun> {
    const stages = await Stages.open(options.output, options.resume === true)
    // The first stage also refuses a folder that holds another run.
    const now = { environment: options.environment ?? ('atlas' as const), seed: options.seed }
    const started = await stages.run('options', async () => now)
    for (const key of ['environment', 'seed'] as const) {
      if (started[key] === now[key]) continue
      throw new HdpoError(
        'ERR_RESUME',
        `${key} was ${started[key]} when ${options.output} was started and is ${now[key]} now`,
      )
    }
    return new QuickstartRun(options, stages, builtInFamilies[now.environment]({ seed: now.seed }))
  }

  async close(): Promise<void> {
    await this.#loaded?.close()
    this.#loaded = undefined
  }

  async run(): Promise<QuickstartResult> {
    const { family, stages, options } = this
    options.observer.note(family.describe())
    await stages.run('cold-start', () => this.#coldStart())
    const policy = await this.#load(this.#coldPolicyPath)
    const knowledge = toKnowledge(await stages.run('knowledge', () => this.#measureKnowledge()))
    options.observer.note(
      `held-out questions: ${knowledge.known.size} known (right ${knowledge.samples} times of ${knowledge.samples} ` +
        `without tools), ${knowledge.needed.size} needed (never right)`,
    )
    const curve = curveTasks(family.heldOutTasks, knowledge, this.#settings.curve.questions)
    const before = await stages.run('before', () => this.#evaluate(knowledge, curve, 'before'))
    await stages.run('train', () => this.#train(knowledge, curve))
    await policy.loadWeights(join(this.#trainedPolicyPath, 'model.safetensors'))
    const after = await stages.run('after', () => this.#evaluate(knowledge, curve, 'after'))
    const report: Report = {
      title: `HDPO quickstart: ${family.name}`,
      before: before.all,
      after: after.all,
      curveStart: before.curve,
      metrics: await readMetrics<StepMetrics>(this.#trainPath),
      seconds: stages.seconds,
      facts: this.#facts(knowledge),
    }
    const reportPath = join(options.output, 'report.html')
    await writeFileAtomic(reportPath, renderReport(report))
    return {
      environment: options.environment ?? 'atlas',
      report,
      reportPath,
      policyPath: this.#trainedPolicyPath,
      knowledge,
    }
  }

  async #coldStart(): Promise<{ steps: number }> {
    const { family, options } = this
    options.observer.stage('Cold start: supervised training on tool traces')
    const policy = await Policy.create({
      ...options.policy,
      config: family.model,
      tokenizer: family.tokenizer,
      template: family.template,
      seed: deriveSeed(this.#seed, 'weights'),
    })
    this.#loaded = policy
    options.observer.note(`policy of ${(policy.parameterCount / 1e6).toFixed(2)} million parameters`)
    const trainer = new SupervisedTrainer({
      ...this.#settings.coldStart,
      policy,
      conversations: await family.coldStart(),
      tools: family.tools,
      output: join(options.output, 'cold-start'),
      index: false,
      seed: deriveSeed(this.#seed, 'cold-start'),
      onWarning: (message) => options.observer.note(`warning: ${message}`),
    })
    let last = 0
    for await (const { step, metrics } of trainer.run(this.#runOptions())) {
      options.observer.coldStartStep(metrics, trainer.steps)
      last = step
    }
    if (options.signal?.aborted && last < trainer.steps) throw new Stopped()
    await policy.save(this.#coldPolicyPath)
    return { steps: trainer.steps }
  }

  async #measureKnowledge(): Promise<KeptKnowledge> {
    this.#begin('Measuring what the policy knows without tools')
    const knowledge = await measureKnown({
      ...this.#asking(),
      tasks: this.family.heldOutTasks,
      samples: this.#settings.knownSamples,
      seed: deriveSeed(this.#seed, 'knowledge'),
    })
    return keepKnowledge(knowledge)
  }

  async #evaluate(
    knowledge: Knowledge,
    curve: readonly Task[],
    when: 'before' | 'after',
  ): Promise<HeldOutSummaries> {
    this.#begin(`Held-out questions with tools, ${when} HDPO`)
    const { summary, groups } = await evaluate({
      ...this.#asking(),
      tasks: this.family.heldOutTasks,
      knowledge,
      samples: this.#settings.evaluationSamples,
      seed: deriveSeed(this.#seed, 'evaluation'),
    })
    const onCurve = new Set(curve.map((task) => task.id))
    const curveGroups = groups.filter((_, index) => onCurve.has(this.family.heldOutTasks[index]?.id ?? ''))
    return { all: summary, curve: summarize(curveGroups, knowledge) }
  }

  async #train(knowledge: Knowledge, curve: readonly Task[]): Promise<{ steps: number }> {
    const { options } = this
    options.observer.stage('HDPO')
    const { train } = this.#settings
    const trainer = new Trainer({
      ...train,
      ...this.#asking(),
      tasks: this.family.trainTasks,
      steps: this.#steps,
      output: this.#trainPath,
      // Memory and processor are for the training: whoever looks at the run makes its index.
      index: false,
      seed: deriveSeed(this.#seed, 'train'),
      evaluate: { tasks: curve, every: this.#settings.curve.every, knowledge },
      onWarning: (message) => options.observer.note(`warning: ${message}`),
    })
    let last = 0
    for await (const { step, metrics } of trainer.run(this.#runOptions())) {
      options.observer.trainStep(metrics, this.#steps)
      last = step
    }
    if (options.signal?.aborted && last < this.#steps) throw new Stopped()
    await this.#policy.save(this.#trainedPolicyPath)
    return { steps: this.#steps }
  }

  /**
   * The policy in memory is replaced: reinforcement learning begins with a fresh optimiser, in a resumed
   * process too.
   */
  async #load(folder: string): Promise<Policy> {
    await this.close()
    this.#loaded = await Policy.load(folder, this.options.policy)
    return this.#loaded
  }

  get #policy(): Policy {
    if (!this.#loaded) throw new HdpoError('ERR_CLOSED', 'the quickstart has no policy in memory')
    return this.#loaded
  }

  #asking() {
    const { family, options } = this
    return {
      policy: this.#policy,
      tools: family.tools,
      reward: family.evaluationReward,
      rollout: this.#settings.rollout,
      ...(options.signal && { signal: options.signal }),
    }
  }

  #runOptions() {
    return {
      resume: this.options.resume === true,
      ...(this.options.signal && { signal: this.options.signal }),
    }
  }

  #begin(description: string): void {
    if (this.options.signal?.aborted) throw new Stopped()
    this.options.observer.stage(description)
  }

  #facts(knowledge: Knowledge): Record<string, string> {
    return {
      seed: String(this.#seed),
      parameters: String(this.#policy.parameterCount),
      'known held-out questions': String(knowledge.known.size),
      'needed held-out questions': String(knowledge.needed.size),
      'HDPO steps': String(this.#steps),
      Node: process.version,
    }
  }

  get #coldPolicyPath(): string {
    return join(this.options.output, 'cold-start', 'policy')
  }
  get #trainPath(): string {
    return join(this.options.output, 'hdpo')
  }
  get #trainedPolicyPath(): string {
    return join(this.#trainPath, 'policy')
  }
}
