// The quickstart's policy before reinforcement learning: the one that comes with hdpo, or one trained here.
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { BuiltInFamily } from '../../families/built-in-families.js'
import {
  checkShippedWeights,
  isColdStartShipped,
  readShippedColdStart,
  type ShippedColdStart,
} from '../../families/shipped-cold-start.js'
import type { TaskFamily } from '../../families/task-family.js'
import type { PolicyOptions } from '../../policy/policy.js'
import { type ColdStartOptions, coldStart, createPolicy } from '../cold-start.js'
import { coldStartRecipe } from './cold-start-recipe.js'
import { type QuickstartSettings, quickstartSettings } from './settings.js'

/** The content of cold-start.json in a quickstart's folder. */
export interface ColdStartResult {
  steps: number
  /** The recipe's hash, where the cold start was trained here; absent in folders of older versions. */
  recipe?: string
  /** Present where the cold start came with hdpo. */
  shipped?: ShippedColdStart
}

/** Weights are shipped only for the default settings; a program may give others. */
export function comesShipped(
  environment: BuiltInFamily,
  seed: number,
  settings: QuickstartSettings,
): boolean {
  return (
    isColdStartShipped(environment, seed) &&
    isDeepStrictEqual(settings.coldStart, quickstartSettings[environment].coldStart)
  )
}

/** Unpacks the shipped policy into `folder`, which then looks as training would have left it. */
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

interface ColdStartTraining
  extends Pick<ColdStartOptions, 'seed' | 'output' | 'policyFolder' | 'run' | 'onWarning' | 'onStep'> {
  family: TaskFamily
  settings: QuickstartSettings['coldStart']
  policy?: PolicyOptions
}

/** Rejects with the signal's reason where that stopped it before its last step. */
export async function trainColdStart({ family, ...training }: ColdStartTraining): Promise<ColdStartResult> {
  const conversations = await family.coldStart()
  const { tools } = family
  const { policy, steps } = await coldStart({ ...training, fresh: family, conversations, tools })
  await policy.close()
  return { steps, recipe: coldStartRecipe(family, conversations, training.settings, training.seed) }
}

/** Describes where the policy came from, in words that can follow its name. */
export function describeColdStart({ shipped, steps }: ColdStartResult): string {
  if (!shipped) return `trained in this run, ${steps} steps`
  const { machine, sha256 } = shipped
  return `came with hdpo, trained before: ${steps} steps on ${machine}, sha256 ${sha256.slice(0, 12)}`
}

export function coldStartFolder(output: string): { run: string; policy: string } {
  const run = join(output, 'cold-start')
  return { run, policy: join(run, 'policy') }
}
