// What adapter_config.json may say: the keys that hdpo computes, those that say nothing about what an adapter computes, and for
// every other key the values at which PEFT's variant of LoRA is off. A key that is not listed is a variant that is not known.
import type { Json, Refuse } from './architectures.js'

/** Read by lora.ts. */
const computed = ['peft_type', 'r', 'lora_alpha', 'lora_dropout', 'use_rslora', 'target_modules']

/** Where an adapter comes from, and settings of variants that act with another key alone. */
const descriptive = [
  'base_model_name_or_path',
  'revision',
  'inference_mode',
  'auto_mapping',
  'peft_version',
  'megatron_core',
  'qalora_group_size',
  'runtime_config',
  // How A was drawn before training: EVA leaves the base as it is, and its ranks are in rank_pattern.
  'eva_config',
]

/**
 * How A and B began does not matter once they are trained, unless the base was changed with them: PiSSA, OLoRA, CorDA and LoRA-GA take
 * the beginning off the base's weights, LoftQ quantises them. PEFT writes true where it has converted such an adapter.
 */
const beginnings = [true, false, 'gaussian', 'eva', 'orthogonal']

/** Keys of variants, each with the values that change nothing. Null and absence never do. */
const neutralValues: Readonly<Record<string, readonly unknown[]>> = {
  task_type: ['CAUSAL_LM'],
  init_lora_weights: beginnings,
  bias: ['none'],
  use_dora: [false],
  fan_in_fan_out: [false],
  modules_to_save: [[]],
  rank_pattern: [{}],
  alpha_pattern: [{}],
  layers_to_transform: [[]],
  layers_pattern: [[], ''],
  layer_replication: [[]],
  exclude_modules: [[], ''],
  megatron_config: [],
  trainable_token_indices: [[], {}],
  lora_bias: [false],
  target_parameters: [[]],
  loftq_config: [{}],
  corda_config: [],
  lora_ga_config: [],
  alora_invocation_tokens: [],
  use_qalora: [false],
  use_bdlora: [false],
  arrow_config: [],
  ensure_weight_tying: [false],
}

/** Throws naming the first key by which the adapter would be something else than LoRA on its base's weights. */
export function refuseOtherAdapters(json: Json, refuse: Refuse): void {
  const known = new Set([...computed, ...descriptive])
  for (const [key, value] of Object.entries(json)) {
    if (known.has(key) || value === null || value === undefined) continue
    // PEFT writes the keys of all its variants into every file, those that are not used as null or false.
    const neutral = Object.hasOwn(neutralValues, key) ? (neutralValues[key] as readonly unknown[]) : [false]
    const texts = neutral.map((item) => JSON.stringify(item))
    if (texts.includes(JSON.stringify(value))) continue
    const only = texts.length > 0 ? `; only ${texts.join(' or ')} is` : ''
    refuse(`"${key}": ${JSON.stringify(value)} is not implemented${only}`)
  }
  if (json.use_rslora != null && typeof json.use_rslora !== 'boolean') {
    refuse(`"use_rslora" must be true or false, got ${JSON.stringify(json.use_rslora)}`)
  }
}
