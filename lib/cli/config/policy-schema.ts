// The keys of a config file that say which policy a run begins with, and how it is held.
import { resolve } from 'node:path'
import { z } from 'zod'
import { HdpoError } from '../../core/errors.js'
import { devices, generationPrecisions, precisions } from '../../native/types.js'
import { toolFormats } from '../../policy/calls/formats.js'
import { loraTargetModules } from '../../policy/lora.js'

const count = z.int().min(1)
const positive = z.number().positive()

export const lora = z.strictObject({
  rank: count.max(1024),
  alpha: positive.exactOptional(),
  dropout: z.number().min(0).lt(1).exactOptional(),
  targetModules: z.array(z.enum(loraTargetModules)).min(1).exactOptional(),
  rankStabilized: z.boolean().exactOptional(),
})

/** How a policy is held, trained or not. */
export const policyKeys = {
  device: z.enum(devices).exactOptional(),
  precision: z.enum(precisions).exactOptional(),
  generationPrecision: z.enum(generationPrecisions).exactOptional(),
  threads: z.int().min(0).exactOptional(),
  kvBudgetMiB: positive.exactOptional(),
  kvPrecision: z.enum(precisions).exactOptional(),
  /** How calls are written, where it is not to be as the chat template has them. */
  toolFormat: z.enum(toolFormats).exactOptional(),
  /** Variables of the chat template, e.g. enable_thinking. */
  templateVariables: z.record(z.string(), z.unknown()).exactOptional(),
  /** The base model of the adapter in the policy's folder, where it is not where the adapter says. */
  base: z.string().exactOptional(),
}

/** How it is trained. */
export const trainingKeys = {
  ...policyKeys,
  lora: lora.exactOptional(),
  recompute: z.boolean().exactOptional(),
}

/** A folder, under either name: a policy that hdpo saved, or a model as it was downloaded. */
export const folderKeys = { policy: z.string().exactOptional(), model: z.string().exactOptional() }

/** `where` names the config file, whose folder paths are relative to. */
export function startFolder(
  config: { policy?: string; model?: string },
  where: string,
  folder: string,
): string {
  const { policy, model } = config
  const [only, other] = policy === undefined ? [model, undefined] : [policy, model]
  if (only === undefined || other !== undefined) {
    throw new HdpoError(
      'ERR_CONFIG',
      `${where}: exactly one of policy and model must be given, each a folder with a model`,
    )
  }
  return resolve(folder, only)
}
