// LoRA's options, as a caller gives them, with their defaults and bounds.
import { z } from 'zod'
import { count, positive } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { LoraOptions, LoraTargetModule } from '../native/types.js'

export const loraTargetModules = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const satisfies readonly LoraTargetModule[]

export const loraShape = {
  /** Inner dimension of the adapters. */
  rank: count.max(1024),
  /** What an adapter adds is scaled by alpha / rank. Default: 2 * rank. */
  alpha: positive.optional(),
  /** Share of an adapter's inputs that are dropped while training. Default 0. */
  dropout: z.number().min(0).lt(1).default(0),
  /** The projections that are adapted. Default: all seven. */
  targetModules: z
    .array(z.enum(loraTargetModules))
    .min(1)
    .default([...loraTargetModules]),
  /** Scale by alpha / sqrt(rank) instead. Default false. */
  rankStabilized: z.boolean().default(false),
}
export const loraOptions = z.strictObject(loraShape)
export interface LoraSettings extends OptionsOf<typeof loraShape> {}

/** Throws InvalidOptionError. */
export function resolveLora(settings: LoraSettings): LoraOptions {
  const { alpha = 2 * settings.rank, ...lora } = readOptions(loraOptions, settings, 'lora')
  // In the order of the layer, whatever the order that the caller gave.
  return {
    ...lora,
    alpha,
    targetModules: loraTargetModules.filter((name) => lora.targetModules.includes(name)),
  }
}
