// How a policy is held in memory and on which device, and how its template is read; checked before anything is loaded.
import { inspect } from 'node:util'
import { z } from 'zod'
import { InvalidOptionError } from '../core/option-error.js'
import { count, instance, seed, text } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import type { EngineOptions } from '../native/addon.js'
import { lossShape } from '../native/loss-options.js'
import {
  devices,
  generationPrecisions,
  type LoraOptions,
  type ModelConfig,
  precisions,
} from '../native/types.js'
import { toolFormats } from './calls/formats.js'
import { chatTemplateOptions } from './chat-template-options.js'
import { loraOptions, resolveLora } from './lora-options.js'
import { tokenizerFiles } from './tokenizer.js'

/** How the engine holds a policy. */
const engineShape = {
  /** 'auto' takes a GPU where there is one. Default 'cpu'. */
  device: z.enum(devices).default('cpu'),
  /** How matrices are stored. 'bfloat16' halves them; trained in full they keep float32 masters. Default 'float32'. */
  precision: z.enum(precisions).default('float32'),
  /** How rollouts read the weights. Default: as `precision`. */
  generationPrecision: z.enum(generationPrecisions).optional(),
  /** false: the policy will not be trained, and holds nothing for it. Default true. */
  trainable: z.boolean().default(true),
  /** CPU threads; 0: one for every core of this process. Default 0. */
  threads: z.int().min(0).max(1024).default(0),
  /** Memory for cached keys and values in bytes. Sequences beyond it wait. Default 128 MiB; on a GPU a fifth of its memory. */
  kvBudgetBytes: count.optional(),
  /** How keys and values are cached. 'bfloat16': the budget holds twice as many tokens. Default 'float32'. */
  kvPrecision: z.enum(precisions).default('float32'),
  /** Tokens of one generation step. Default 256; 2048 on a GPU. */
  maxBatchRows: count.max(2 ** 20).optional(),
  /** Run layers again in backward instead of keeping their activations: less memory, about a third more time. Default false. */
  recompute: z.boolean().default(false),
}

export const policyShape = {
  ...engineShape,
  /** Train an adapter beside frozen weights. Default: all weights are trained. */
  lora: loraOptions.optional(),
  /** How calls are written. Default: as the chat template writes them. */
  toolFormat: z.enum(toolFormats).optional(),
  /** More variables of the chat template, e.g. { enable_thinking: false } or { date_string: '26 Jul 2024' }. */
  templateVariables: z.record(z.string(), z.unknown()).optional(),
  /** Where an adapter's base model is, if not where its adapter_config.json says. */
  base: text.optional(),
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
  /** Seed of the initial weights and of the dropout masks. Default 0. */
  seed: seed.default(0),
}
export const policyDefinition = z.strictObject(policyDefinitionShape)
export interface PolicyDefinition extends OptionsOf<typeof policyDefinitionShape> {}
export type ResolvedPolicyDefinition = ResolvedOptions<typeof policyDefinitionShape>

export const logprobShape = {
  temperature: lossShape.temperature,
  /** Compute the logprobs under the frozen reference instead of the policy. Default false. */
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

export function engineOptions(
  options: ResolvedPolicyOptions,
): Omit<EngineOptions, 'config' | 'tokenBytes' | 'seed' | 'lora'> {
  const entries = Object.entries(options).filter(([name]) => Object.hasOwn(engineShape, name))
  return Object.fromEntries(entries)
}
