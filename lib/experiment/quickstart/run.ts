// The quickstart: cold start, measuring what the policy knows, HDPO, measuring again. Every number is measured here; only the
// policy of the cold start may have come with hdpo.
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../../core/errors.js'
import { whileHeld } from '../../core/folder-lock.js'
import { deriveSeed } from '../../core/seed.js'
import type { EvaluationSummary } from '../../evaluation/evaluate.js'
import type { Knowledge } from '../../evaluation/knowledge.js'
import { type BuiltInFamily, builtInFamilies } from '../../families/built-in-families.js'
import type { TaskFamily } from '../../families/task-family.js'
import { Policy, type PolicyOptions } from '../../policy/policy.js'
import { readMetrics } from '../../run/metrics-file.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import { createPolicy } from '../cold-start.js'
import type { HeldOut } from '../held-out.js'
import { measureStart, type Start } from '../measure-start.js'
import { trainAndMeasure } from '../train-and-measure.js'
import { Forecast } from './forecast.js'
import { keepIdentity, type QuickstartIdentity, quickstartIdentity } from './identity.js'
import { measureMachineSpeed } from './machine-speed.js'
import { type QuickstartObserver, QuickstartProgress } from './progress.js'
import { type Report, renderReport } from './report.js'
import { type QuickstartSettings, quickstartSettings } from './settings.js'
import { forecastQuickstart, type QuickstartStage, stageTitles } from './stage-forecasts.js'
import { Stages } from './stages.js'
import {
  type ColdStartResult,
  coldStartFolder,
  describeColdStart,
  trainColdStart,
  unpackShippedPolicy,
} from './starting-policy.js'

export interface QuickstartOptions {
  /** The task family. Default 'atlas'. */
  environment?: BuiltInFamily
  /** Determines questions, taught facts, initial weights, order and sampling. */
  seed: number
  /** The folder of both runs, the policies and the report. */
  output: string
  /** Reinforcement-learning steps. Default: those of the settings. */
  steps?: number
  /** Train the cold start here even where one comes with hdpo (atlas, seed 0). Default false. */
  fromScratch?: boolean
  policy?: PolicyOptions
  resume?: boolean
  /** When it is aborted, the running step is finished and saved, and the quickstart stops. */
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

/** Undefined where `signal` stopped it: what was done is saved, and `resume` goes on from there. */
export async function runQuickstart(options: QuickstartOptions): Promise<QuickstartResult | undefined> {
  try {
    return await whileHeld(options.output, async () => (await QuickstartRun.open(options)).run())
  } catch (error) {
    if (options.signal?.aborted && error === options.signal.reason) return undefined
    throw error
  }
}

const stageDescriptions = {
  knowledge: 'Measuring what the policy knows without tools',
  before: 'Held-out questions with tools, before HDPO',
  train: 'HDPO',
  after: 'Held-out questions with tools, after HDPO',
}

class QuickstartRun {
  readonly #settings: QuickstartSettings
  readonly #steps: number
  readonly #seed: number

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

  async run(): Promise<QuickstartResult> {
    const { family, stages, options } = this
    options.observer.note(family.describe())
    this.#progress = await this.#lookAhead()
    const coldStart = await stages.run('cold-start', () => this.#coldStart())
    // The policy is loaded again, so that reinforcement learning begins with a fresh optimiser in any process, resumed or not.
    const policy = await Policy.load(coldStartFolder(options.output).policy, options.policy)
    try {
      const heldOut = this.#heldOut(policy)
      const start = await this.#measureStart(heldOut)
      const after = await this.#train(policy, heldOut, start)
      return await this.#report(start, after, coldStart, policy.parameterCount)
    } finally {
      await policy.close()
    }
  }

  /** Measures the machine and forecasts how long the remaining stages will take. */
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
    return trainColdStart({
      family,
      settings: this.#settings.coldStart,
      seed: this.#seed,
      ...(options.policy && { policy: options.policy }),
      output,
      policyFolder,
      run: this.#runOptions(),
      onWarning: (message) => this.#warn(message),
      onStep: ({ metrics }, steps) => progress.coldStartStep(metrics, steps),
    })
  }

  #measureStart(heldOut: HeldOut): Promise<Start> {
    return measureStart({
      heldOut,
      known: { samples: this.#settings.knownSamples, seed: deriveSeed(this.#seed, 'knowledge') },
      curveQuestions: this.#settings.curve.questions,
      onKnowledge: ({ known, needed, samples }) =>
        this.options.observer.note(
          `held-out questions: ${known.size} known (right ${samples} times of ${samples} without tools), ` +
            `${needed.size} needed (never right)`,
        ),
      keep: this.#keep,
    })
  }

  async #train(policy: Policy, heldOut: HeldOut, start: Start): Promise<EvaluationSummary> {
    const { tools, reward } = heldOut
    const { after } = await trainAndMeasure({
      trainer: {
        ...this.#settings.train,
        policy,
        tools,
        reward,
        rollout: this.#settings.rollout,
        tasks: this.family.trainTasks,
        steps: this.#steps,
        output: this.#trainPath,
        // Training needs the memory and the processor; whoever looks at the run indexes it.
        index: false,
        seed: deriveSeed(this.#seed, 'train'),
        evaluate: { tasks: start.curve, every: this.#settings.curve.every, knowledge: start.knowledge },
        onWarning: (message) => this.#warn(message),
      },
      run: this.#runOptions(),
      onStep: ({ metrics }) => this.#running.trainStep(metrics, this.#steps),
      measured: { policy, policyFolder: this.#trainedPolicyPath, heldOut, start, keep: this.#keep },
    })
    return after
  }

  /** The evaluation of the held-out questions with tools, before and after training. */
  #heldOut(policy: Policy): HeldOut {
    const { family, options } = this
    const { tools, heldOutTasks: tasks, evaluationReward: reward } = family
    return {
      policy,
      tasks,
      tools,
      reward,
      rollout: this.#settings.rollout,
      samples: this.#settings.evaluationSamples,
      seed: deriveSeed(this.#seed, 'evaluation'),
      onProgress: ({ done, total }) => this.#running.questionsAsked(done, total),
      ...(options.signal && { signal: options.signal }),
    }
  }

  #keep = <Result>(stage: keyof typeof stageDescriptions, work: () => Promise<Result>): Promise<Result> =>
    this.stages.run(stage, () => {
      this.#begin(stage, stageDescriptions[stage])
      return work()
    })

  #runOptions() {
    return {
      resume: this.options.resume === true,
      ...(this.options.signal && { signal: this.options.signal }),
    }
  }

  #begin(stage: QuickstartStage, description: string): QuickstartProgress {
    this.options.signal?.throwIfAborted()
    this.#running.begin(stage, description)
    return this.#running
  }

  get #running(): QuickstartProgress {
    if (!this.#progress) throw new HdpoError('ERR_STATE', 'the quickstart has not looked ahead')
    return this.#progress
  }

  #warn(message: string): void {
    this.options.observer.note(`warning: ${message}`)
  }

  async #report(
    { knowledge, before }: Start,
    after: EvaluationSummary,
    coldStart: ColdStartResult,
    parameters: number,
  ): Promise<QuickstartResult> {
    const report: Report = {
      title: `HDPO quickstart: ${this.family.name}`,
      before: before.all,
      after,
      curveStart: before.curve,
      metrics: await readMetrics<StepMetrics>(this.#trainPath),
      seconds: this.#seconds(coldStart),
      facts: {
        seed: String(this.#seed),
        parameters: String(parameters),
        'cold start': describeColdStart(coldStart),
        ...(coldStart.shipped && { 'made by': coldStart.shipped.commands.join(', then ') }),
        'known held-out questions': String(knowledge.known.size),
        'needed held-out questions': String(knowledge.needed.size),
        'HDPO steps': String(this.#steps),
        Node: process.version,
      },
    }
    const reportPath = join(this.options.output, 'report.html')
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

  /** Seconds per stage, under the stages' names for people. */
  #seconds({ shipped }: ColdStartResult): Record<string, number> {
    const { 'cold-start': coldStart = 0, options: _, ...others } = this.stages.seconds
    return {
      [shipped ? 'cold start (shipped)' : 'cold start']: coldStart,
      ...Object.fromEntries(
        Object.entries(others).map(([name, seconds]) => [stageTitles[name as QuickstartStage], seconds]),
      ),
    }
  }

  get #trainPath(): string {
    return join(this.options.output, 'hdpo')
  }
  get #trainedPolicyPath(): string {
    return join(this.#trainPath, 'policy')
  }
}
