// The keys of a config file that say which policy a run begins with, and how it is held in memory.
import { resolve } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { positive, text } from '../../core/option-kinds.js'
import { policyShape } from '../../policy/policy-options.js'

const { device, precision, generationPrecision, threads, kvPrecision, toolFormat, templateVariables, base } =
  policyShape

/** How a policy is held in memory, trained or not. */
export const policyKeys = {
  device,
  precision,
  generationPrecision,
  threads,
  /** Memory for the KV cache in MiB. Sequences that do not fit wait. Default 128; on a GPU a fifth of its memory. */
  kvBudgetMiB: positive.optional(),
  kvPrecision,
  toolFormat,
  templateVariables,
  base,
}

/** How the policy is trained. */
export const trainingKeys = {
  ...policyKeys,
  lora: policyShape.lora,
  recompute: policyShape.recompute,
}

/** The folder to begin with, under either key: a policy that hdpo saved, or a downloaded model. */
export const folderKeys = {
  /** The folder of a policy that hdpo saved. Exactly one of `policy` and `model` is given. */
  policy: text.optional(),
  /** The folder of a downloaded model. */
  model: text.optional(),
}

/** The folder that the run begins with. Relative paths start at `folder`; `where` names the config file in messages. */
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
