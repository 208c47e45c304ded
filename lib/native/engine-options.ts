// How a model is held, with the defaults and bounds: the one place that has them.
import { z } from 'zod'
import { count, instance, kind, list, seed } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import {
  devices,
  type GenerationPrecision,
  generationPrecisions,
  type LoraOptions,
  type ModelConfig,
  precisions,
} from './types.js'

/** What a policy says of the engine that holds it. */
export const engineShape = {
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

const engineDefinition = z.strictObject({
  ...engineShape,
  /** The sizes of the model. */
  config: instance<ModelConfig>('the sizes of a model'),
  /** The base weights are frozen and only adapters are trained. Default: full fine-tuning. */
  lora: instance<LoraOptions>('the options of an adapter').optional(),
  /** Initial weights, an adapter's too, and dropout masks are drawn from it. Default 0. */
  seed: seed.default(0),
  /**
   * false: the weights are 0 until loadWeights, which drawing hundreds of millions of them first would delay by a minute; an
   * adapter is drawn all the same. Default true.
   */
  initialize: z.boolean().default(true),
  /** Bytes that each token decodes to (empty for special tokens), for stop strings. Default: none, and no stop strings. */
  tokenBytes: list<Uint8Array>().optional(),
  /** Ids of the vocabulary that are no tokens: padding, gaps. They are never sampled. Default: none. */
  absentTokens: kind<Int32Array>(
    'an Int32Array of token ids',
    (value) => value instanceof Int32Array,
  ).optional(),
})
export type EngineDefinition = z.input<typeof engineDefinition>
/** What the native engine takes. It has no defaults but those that depend on the device. */
export type EngineOptions = ReturnType<typeof readDefinition> & {
  generationPrecision: GenerationPrecision
}

/** Throws InvalidOptionError. */
export function resolveEngine(definition: EngineDefinition): EngineOptions {
  const resolved = readDefinition(definition)
  return { ...resolved, generationPrecision: resolved.generationPrecision ?? resolved.precision }
}

function readDefinition(definition: EngineDefinition) {
  return readOptions(engineDefinition, definition, 'engine')
}
