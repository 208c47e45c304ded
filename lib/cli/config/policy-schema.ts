// The keys of a config file that say which policy a run begins with, and how it is held.
import { resolve } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { positive, text } from '../../core/option-kinds.js'
import { policyShape } from '../../policy/policy-options.js'

const { device, precision, generationPrecision, threads, kvPrecision, toolFormat, templateVariables, base } =
  policyShape

/** How a policy is held, trained or not. */
export const policyKeys = {
  device,
  precision,
  generationPrecision,
  threads,
  /** Memory for cached keys and values in MiB. Sequences beyond it wait. Default 128; on a GPU a fifth of its memory. */
  kvBudgetMiB: positive.optional(),
  kvPrecision,
  toolFormat,
  templateVariables,
  base,
}

/** How it is trained. */
export const trainingKeys = {
  ...policyKeys,
  lora: policyShape.lora,
  recompute: policyShape.recompute,
}

/** A folder, under either name: a policy that hdpo saved, or a model as it was downloaded. */
export const folderKeys = {
  /** The folder of a policy that hdpo saved. Exactly one of `policy` and `model` is given. */
  policy: text.optional(),
  /** The folder of a model as it was downloaded. */
  model: text.optional(),
}

/** `where` names the config file, whose folder paths are relative to. */
export function startFolder(
  config: { policy?: string | undefined; model?: string | undefined },
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
