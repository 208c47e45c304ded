// How a policy is held in memory and on which device, and how its template is read; checked before anything is loaded.
import { inspect } from 'node:util'
import type { EngineOptions } from '../native/addon.js'
import {
  type Device,
  devices,
  type GenerationPrecision,
  generationPrecisions,
  type LoraOptions,
  type Precision,
  precisions,
} from '../native/types.js'
import { type ToolFormat, toolFormats } from './calls/formats.js'
import { type LoraSettings, resolveLora } from './lora.js'

export interface PolicyOptions {
  /** Default 'cpu'; 'auto' takes a GPU where there is one. */
  device?: Device
  /** How matrices are stored. 'bfloat16' halves them; trained in full they keep float32 masters. Default 'float32'. */
  precision?: Precision
  /** Train an adapter beside frozen weights. Absent: all weights are trained. */
  lora?: LoraSettings
  /** How rollouts read the weights. Default: as `precision`. */
  generationPrecision?: GenerationPrecision
  /** false: the policy will not be trained, and holds nothing for it. Default true. */
  trainable?: boolean
  /** CPU threads; default: every core of this process. */
  threads?: number
  /** Memory for cached keys and values in bytes. Sequences beyond it wait. Default 128 MiB; a fifth of a GPU's. */
  kvBudgetBytes?: number
  /** How keys and values are cached. 'bfloat16': the budget holds twice as many tokens. Default 'float32'. */
  kvPrecision?: Precision
  /** Tokens of one generation step. Default 256; 2048 on a GPU. */
  maxBatchRows?: number
  /** Run layers again in backward instead of keeping their activations: less memory, about a third more time. */
  recompute?: boolean
  /** How calls are written. Default: as the chat template writes them. */
  toolFormat?: ToolFormat
  /** More variables of the chat template, e.g. { enable_thinking: false } or { date_string: '26 Jul 2024' }. */
  templateVariables?: Record<string, unknown>
  /** Where an adapter's base model is, if not where its adapter_config.json says. */
  base?: string
}

const choices: Partial<Record<keyof PolicyOptions, readonly string[]>> = {
  device: devices,
  precision: precisions,
  generationPrecision: generationPrecisions,
  kvPrecision: precisions,
  toolFormat: toolFormats,
}

export function checkPolicyOptions(options: PolicyOptions): void {
  for (const [name, allowed] of Object.entries(choices)) {
    const value = options[name as keyof PolicyOptions]
    if (value !== undefined && !allowed.includes(value as string)) {
      throw new RangeError(`${name} must be one of ${allowed.join(', ')}, got ${inspect(value)}`)
    }
  }
}

/** `adapter`: the LoRA options of an adapter that is loaded, which those given must be. */
export function loraOf(options: PolicyOptions, adapter?: LoraOptions): LoraOptions | undefined {
  const given = options.lora && resolveLora(options.lora)
  if (!adapter) return given
  if (!given) return adapter
  const differing = (['rank', 'alpha', 'rankStabilized'] as const).find(
    (name) => given[name] !== adapter[name],
  )
  const sameTargets = given.targetModules.join() === adapter.targetModules.join()
  if (differing === undefined && sameTargets) return given
  const name = differing ?? 'targetModules'
  throw new RangeError(
    `lora.${name} is ${inspect(given[name])}, but the adapter in the folder has ${inspect(adapter[name])}`,
  )
}

export function engineOptions(
  options: PolicyOptions,
): Omit<EngineOptions, 'config' | 'tokenBytes' | 'seed' | 'lora'> {
  const names = [
    'device',
    'precision',
    'generationPrecision',
    'trainable',
    'threads',
    'kvBudgetBytes',
    'kvPrecision',
    'maxBatchRows',
    'recompute',
  ] as const
  return Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  )
}
