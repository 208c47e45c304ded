// The quickstart's policy before reinforcement learning: the one that comes with hdpo, or trained here.
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { deriveSeed } from '../../core/seed.js'
import type { BuiltInFamily } from '../../families/built-in-families.js'
import {
  checkShippedWeights,
  isColdStartShipped,
  readShippedColdStart,
  type ShippedColdStart,
} from '../../families/shipped-cold-start.js'
import type { TaskFamily } from '../../families/task-family.js'
import { Policy, type PolicyOptions } from '../../policy/policy.js'
import type { SupervisedMetrics } from '../../trainer/metrics.js'
import type { RunOptions } from '../../trainer/run-loop.js'
import { SupervisedTrainer } from '../../trainer/supervised-trainer.js'
import { coldStartRecipe } from '../cold-start-recipe.js'
import { type QuickstartSettings, quickstartSettings } from './settings.js'

/** cold-start.json of a quickstart's folder. */
export interface ColdStartResult {
  steps: number
  /** Of what was trained here; absent in folders of older versions. */
  recipe?: string
  /** What came with hdpo instead. */
  shipped?: ShippedColdStart
}

/** Weights are shipped for these settings alone, whatever others a program gives. */
export function comesShipped(
  environment: BuiltInFamily,
  seed: number,
  { coldStart }: QuickstartSettings,
): boolean {
  return (
    isColdStartShipped(environment, seed) &&
    isDeepStrictEqual(coldStart, quickstartSettings[environment].coldStart)
  )
}

/** Random weights, of the seed where one is given. */
export function createPolicy(family: TaskFamily, options?: PolicyOptions, seed?: number): Promise<Policy> {
  const { model: config, tokenizer, template } = family
  return Policy.create({
    ...options,
    config,
    tokenizer,
    template,
    ...(seed !== undefined && { seed: deriveSeed(seed, 'weights') }),
  })
}

/** Into `folder`, as training would have left it. */
export async function unpackShippedPolicy(
  environment: BuiltInFamily,
  family: TaskFamily,
  folder: string,
  options?: PolicyOptions,
): Promise<ColdStartResult> {
  const shipped = await readShippedColdStart(environment)
  const weights = await checkShippedWeights(shipped)
  const policy = await createPolicy(family, options)
  try {
    await policy.loadWeights(weights)
    await policy.save(folder)
  } finally {
    await policy.close()
  }
  return { steps: shipped.steps, shipped }
}

export interface ColdStartTraining {
  family: TaskFamily
  settings: QuickstartSettings['coldStart']
  seed: number
  policy?: PolicyOptions
  /** The folder of the supervised run. */
  output: string
  /** Where the policy goes when it is trained. */
  policyFolder: string
  run: RunOptions
  onWarning: (message: string) => void
  onStep: (metrics: SupervisedMetrics, steps: number) => void
}

/** Undefined when the signal stopped it before its last step. */
export async function trainColdStart(training: ColdStartTraining): Promise<ColdStartResult | undefined> {
  const { family, settings, seed, run, onWarning, onStep } = training
  const policy = await createPolicy(family, training.policy, seed)
  try {
    const conversations = await family.coldStart()
    const trainer = new SupervisedTrainer({
      ...settings,
      policy,
      conversations,
      tools: family.tools,
      output: training.output,
      index: false,
      seed: deriveSeed(seed, 'cold-start'),
      onWarning,
    })
    let last = 0
    for await (const { step, metrics } of trainer.run(run)) {
      onStep(metrics, trainer.steps)
      last = step
    }
    if (run.signal?.aborted && last < trainer.steps) return undefined
    await policy.save(training.policyFolder)
    return { steps: trainer.steps, recipe: coldStartRecipe(family, conversations, settings, seed) }
  } finally {
    await policy.close()
  }
}

/** Where the policy came from, in words that can follow its name. */
export function describeColdStart({ shipped, steps }: ColdStartResult): string {
  if (!shipped) return `trained in this run, ${steps} steps`
  const { machine, sha256 } = shipped
  return `came with hdpo, trained before: ${steps} steps on ${machine}, sha256 ${sha256.slice(0, 12)}`
}

export function coldStartFolder(output: string): { run: string; policy: string } {
  const run = join(output, 'cold-start')
  return { run, policy: join(run, 'policy') }
}
