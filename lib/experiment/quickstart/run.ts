// The whole story on the built-in task: cold start, what does it know, HDPO, what has changed. Every number
// is measured; the policy of the cold start may have come with hdpo.
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../../core/errors.js'
import type { ProgressReport } from '../../core/progress.js'
import { deriveSeed } from '../../core/seed.js'
import { type EvaluationSummary, evaluate, measureKnown, summarize } from '../../evaluation/evaluate.js'
import {
  curveTasks,
  type KeptKnowledge,
  type Knowledge,
  keepKnowledge,
  toKnowledge,
} from '../../evaluation/knowledge.js'
import { type BuiltInFamily, builtInFamilies } from '../../families/built-in-families.js'
import type { TaskFamily } from '../../families/task-family.js'
import { Policy, type PolicyOptions } from '../../policy/policy.js'
import type { Task } from '../../rollout/types.js'
import { readMetrics } from '../../run/run-folder.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import { Trainer } from '../../trainer/trainer.js'
import { Forecast } from '../forecast.js'
import { measureMachineSpeed } from '../machine-speed.js'
import { type Report, renderReport } from '../report.js'
import { Stages } from '../stages.js'
import {
  type ColdStartResult,
  coldStartFolder,
  createPolicy,
  describeColdStart,
  trainColdStart,
  unpackShippedPolicy,
} from './cold-start.js'
import { forecastQuickstart, type QuickstartStage, stageTitles } from './forecast.js'
import { keepIdentity, type QuickstartIdentity, quickstartIdentity } from './identity.js'
import { type QuickstartObserver, QuickstartProgress } from './progress.js'
import { type QuickstartSettings, quickstartSettings } from './settings.js'

export interface QuickstartOptions {
  /** The task family. Default 'atlas'. */
  environment?: BuiltInFamily
  /** Questions, facts that are taught, initial weights, order and sampling all follow from it. */
  seed: number
  /** Folder of both runs, the policies and the report. */
  output: string
  /** Reinforcement-learning steps; default: those of the settings. */
  steps?: number
  /** Train the cold start here even where it comes with hdpo (atlas, seed 0). Default false. */
  fromScratch?: boolean
  policy?: PolicyOptions
  resume?: boolean
  /** Finish the running step, save and stop. */
  signal?: AbortSignal
  settings?: QuickstartSettings
  observer: QuickstartObserver
}

export interface QuickstartResult {
  environment: BuiltInFamily
  report: Report
  reportPath: string
  policyPath: string
  knowledge: Knowledge
  coldStart: ColdStartResult
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
  #progress: QuickstartProgress | undefined

  private constructor(
    private readonly options: QuickstartOptions,
    private readonly identity: QuickstartIdentity,
    private readonly stages: Stages,
    private readonly family: TaskFamily,
  ) {
    this.#settings = options.settings ?? quickstartSettings[identity.environment]
    this.#steps = options.steps ?? this.#settings.train.steps
    this.#seed = options.seed
  }

  static async open(options: QuickstartOptions): Promise<QuickstartRun> {
    const { environment = 'atlas', seed, fromScratch = false, output } = options
    const settings = options.settings ?? quickstartSettings[environment]
    const identity = quickstartIdentity({ environment, seed, fromScratch }, settings)
    const stages = await Stages.open(output, options.resume === true)
    // The first stage also refuses a folder that holds another run.
    await keepIdentity(stages, identity, output)
    return new QuickstartRun(options, identity, stages, builtInFamilies[environment]({ seed }))
  }

  async close(): Promise<void> {
    await this.#loaded?.close()
    this.#loaded = undefined
  }

  async run(): Promise<QuickstartResult> {
    const { family, stages, options } = this
    options.observer.note(family.describe())
    this.#progress = await this.#lookAhead()
    const coldStart = await stages.run('cold-start', () => this.#coldStart())
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
      seconds: this.#seconds(coldStart),
      facts: this.#facts(knowledge, coldStart),
    }
    const reportPath = join(options.output, 'report.html')
    await writeFileAtomic(reportPath, renderReport(report))
    return {
      environment: this.identity.environment,
      report,
      reportPath,
      policyPath: this.#trainedPolicyPath,
      knowledge,
      coldStart,
    }
  }

  /** Measures the machine and says how long the stages that are not done yet will take. */
  async #lookAhead(): Promise<QuickstartProgress> {
    const { stages, family, options } = this
    const { environment, seed, fromScratch } = this.identity
    const ahead = (Object.keys(stageTitles) as QuickstartStage[]).filter(
      (stage) => !stages.isKept(stage) && (stage !== 'cold-start' || fromScratch),
    )
    if (ahead.length === 0) return new QuickstartProgress(options.observer, new Forecast([]))
    const policy = await createPolicy(family, options.policy)
    const speed = await measureMachineSpeed(policy).finally(() => policy.close())
    if (ahead.includes('cold-start') && !options.fromScratch) {
      options.observer.note(
        `${environment} with seed ${seed}: no cold start comes with hdpo, it is trained first`,
      )
    }
    const plan = {
      environment,
      settings: this.#settings,
      steps: this.#steps,
      heldOut: family.heldOutTasks.length,
    }
    return new QuickstartProgress(options.observer, forecastQuickstart(plan, speed, ahead))
  }

  async #coldStart(): Promise<ColdStartResult> {
    const { family, options, identity } = this
    const { run: output, policy: policyFolder } = coldStartFolder(options.output)
    if (!identity.fromScratch) {
      options.observer.stage('Cold start: the policy that comes with hdpo')
      return unpackShippedPolicy(identity.environment, family, policyFolder, options.policy)
    }
    const progress = this.#begin('cold-start', 'Cold start: supervised training on tool traces')
    const result = await trainColdStart({
      family,
      settings: this.#settings.coldStart,
      seed: this.#seed,
      ...(options.policy && { policy: options.policy }),
      output,
      policyFolder,
      run: this.#runOptions(),
      onWarning: (message) => options.observer.note(`warning: ${message}`),
      onStep: (metrics, steps) => progress.coldStartStep(metrics, steps),
    })
    if (!result) throw new Stopped()
    return result
  }

  async #measureKnowledge(): Promise<KeptKnowledge> {
    const progress = this.#begin('knowledge', 'Measuring what the policy knows without tools')
    const knowledge = await measureKnown({
      ...this.#asking(),
      ...this.#heldOut(progress),
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
    const progress = this.#begin(when, `Held-out questions with tools, ${when} HDPO`)
    const { summary, groups } = await evaluate({
      ...this.#asking(),
      ...this.#heldOut(progress),
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
    const progress = this.#begin('train', 'HDPO')
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
      progress.trainStep(metrics, this.#steps)
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

  #heldOut(progress: QuickstartProgress) {
    const tasks = this.family.heldOutTasks
    return { tasks, onProgress: ({ done, total }: ProgressReport) => progress.questionsAsked(done, total) }
  }

  #runOptions() {
    return {
      resume: this.options.resume === true,
      ...(this.options.signal && { signal: this.options.signal }),
    }
  }

  #begin(stage: QuickstartStage, description: string): QuickstartProgress {
    if (this.options.signal?.aborted) throw new Stopped()
    if (!this.#progress) throw new HdpoError('ERR_STATE', 'the quickstart has not looked ahead')
    this.#progress.begin(stage, description)
    return this.#progress
  }

  /** By what people call the stages. */
  #seconds({ shipped }: ColdStartResult): Record<string, number> {
    const { 'cold-start': coldStart = 0, options: _, ...others } = this.stages.seconds
    return {
      [shipped ? 'cold start (shipped)' : 'cold start']: coldStart,
      ...Object.fromEntries(
        Object.entries(others).map(([name, seconds]) => [stageTitles[name as QuickstartStage], seconds]),
      ),
    }
  }

  #facts(knowledge: Knowledge, coldStart: ColdStartResult): Record<string, string> {
    return {
      seed: String(this.#seed),
      parameters: String(this.#policy.parameterCount),
      'cold start': describeColdStart(coldStart),
      ...(coldStart.shipped && { 'made by': coldStart.shipped.commands.join(', then ') }),
      'known held-out questions': String(knowledge.known.size),
      'needed held-out questions': String(knowledge.needed.size),
      'HDPO steps': String(this.#steps),
      Node: process.version,
    }
  }

  get #coldPolicyPath(): string {
    return coldStartFolder(this.options.output).policy
  }
  get #trainPath(): string {
    return join(this.options.output, 'hdpo')
  }
  get #trainedPolicyPath(): string {
    return join(this.#trainPath, 'policy')
  }
}
