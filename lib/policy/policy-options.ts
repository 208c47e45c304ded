// How a policy is held in memory and on which device, and how its template is read; checked before anything is loaded.
import { inspect } from 'node:util'
import { z } from 'zod'
import { InvalidOptionError } from '../core/option-error.js'
import { instance, path, seed } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { engineShape } from '../native/engine-options.js'
import { lossShape } from '../native/loss-options.js'
import type { LoraOptions, ModelConfig } from '../native/types.js'
import { toolFormats } from './calls/formats.js'
import { chatTemplateOptions } from './chat-template-options.js'
import { loraOptions, resolveLora } from './lora-options.js'
import { tokenizerFiles } from './tokenizer.js'

export const policyShape = {
  ...engineShape,
  /** Train an adapter beside frozen weights. Default: all weights are trained. */
  lora: loraOptions.optional(),
  /** How calls are written. Default: as the chat template writes them. */
  toolFormat: z.enum(toolFormats).optional(),
  /** More variables of the chat template, e.g. { enable_thinking: false } or { date_string: '26 Jul 2024' }. */
  templateVariables: z.record(z.string(), z.unknown()).optional(),
  /** Where an adapter's base model is, if not where its adapter_config.json says. */
  base: path.optional(),
}
export const policyOptions = z.strictObject(policyShape)
export interface PolicyOptions extends OptionsOf<typeof policyShape> {}
export type ResolvedPolicyOptions = ResolvedOptions<typeof policyShape>

export const policyDefinitionShape = {
  ...policyShape,
  /** The sizes of the model. */
  config: instance<ModelConfig>('the sizes of a model'),
  /** tokenizer.json and tokenizer_config.json, parsed. */
  tokenizer: tokenizerFiles,
  /** The chat template. */
  template: chatTemplateOptions,
  /** Decides the initial weights, and what dropout leaves out. Default 0. */
  seed: seed.default(0),
}
export const policyDefinition = z.strictObject(policyDefinitionShape)
export interface PolicyDefinition extends OptionsOf<typeof policyDefinitionShape> {}
export type ResolvedPolicyDefinition = ResolvedOptions<typeof policyDefinitionShape>

export const logprobShape = {
  temperature: lossShape.temperature,
  /** Whether to take the frozen reference instead of the policy. Default false. */
  reference: z.boolean().default(false),
}
export const logprobOptions = z.strictObject(logprobShape)
export interface LogprobOptions extends OptionsOf<typeof logprobShape> {}

/** Throws InvalidOptionError. */
export function resolvePolicyOptions(options: PolicyOptions): ResolvedPolicyOptions {
  return readOptions(policyOptions, options)
}

/** `adapter`: the LoRA options of an adapter that is loaded, which the given ones must equal. */
export function loraOf(options: ResolvedPolicyOptions, adapter?: LoraOptions): LoraOptions | undefined {
  const given = options.lora && resolveLora(options.lora)
  if (!adapter) return given
  if (!given) return adapter
  const differing = (['rank', 'alpha', 'rankStabilized'] as const).find(
    (name) => given[name] !== adapter[name],
  )
  const sameTargets = given.targetModules.join() === adapter.targetModules.join()
  if (differing === undefined && sameTargets) return given
  const name = differing ?? 'targetModules'
  throw new InvalidOptionError(
    `lora.${name}`,
    `${inspect(adapter[name])}, as the adapter in the folder has it`,
    given[name],
  )
}

/** The options of the engine among those of a policy. */
export function engineOptions(options: ResolvedPolicyOptions): OptionsOf<typeof engineShape> {
  const entries = Object.entries(options).filter(([name]) => Object.hasOwn(engineShape, name))
  return Object.fromEntries(entries)
}
