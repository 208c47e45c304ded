import { describe, expect, it } from 'vitest'
import { refuseOtherAdapters } from '../../lib/policy/adapter-keys.js'
import { refusal } from '../../lib/policy/architectures.js'

const check = (keys: Record<string, unknown>) =>
  refuseOtherAdapters({ ...peft020, ...keys }, refusal('adapter_config.json'))

/** What PEFT 0.20 writes for a plain adapter. */
const peft020 = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: 'Qwen/Qwen3-0.6B',
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 16,
  lora_bias: false,
  lora_dropout: 0.05,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  peft_type: 'LORA',
  peft_version: '0.20.0',
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: ['q_proj', 'v_proj'],
  target_parameters: null,
  task_type: 'CAUSAL_LM',
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
}

describe('an adapter', () => {
  it.each([
    {},
    { use_rslora: true },
    // These draw A and B in other ways, and leave the base as it is.
    ...[false, 'gaussian', 'orthogonal'].map((init_lora_weights) => ({ init_lora_weights })),
    { init_lora_weights: 'eva', eva_config: { rho: 2 } },
    { task_type: null },
    { layers_to_transform: [], exclude_modules: '', trainable_token_indices: {}, modules_to_save: [] },
    { some_future_variant: null, another: false },
  ])('that is plain LoRA on its base loads: %j', (keys) => {
    expect(() => check(keys)).not.toThrow()
  })

  it.each([
    // These train the difference to a base that was changed when they began.
    ...['pissa', 'pissa_niter_16', 'olora', 'corda', 'loftq', 'lora_ga', 'milora'].map(
      (init_lora_weights): [Record<string, unknown>, RegExp] => [
        { init_lora_weights },
        new RegExp(
          `"init_lora_weights": "${init_lora_weights}" is not implemented; only true or false or "gaussian"`,
        ),
      ],
    ),
    [{ loftq_config: { loftq_bits: 4 } }, /"loftq_config": \{"loftq_bits":4\} is not implemented/],
    [{ corda_config: { corda_method: 'kpm' } }, /"corda_config"/],
    [{ lora_ga_config: {} }, /"lora_ga_config"/],
    [{ use_dora: true }, /"use_dora": true is not implemented; only false is/],
    [{ modules_to_save: ['lm_head'] }, /"modules_to_save": \["lm_head"\]/],
    [{ rank_pattern: { q_proj: 2 } }, /"rank_pattern"/],
    [{ alpha_pattern: { q_proj: 2 } }, /"alpha_pattern"/],
    [{ alora_invocation_tokens: [5, 6] }, /"alora_invocation_tokens": \[5,6\] is not implemented/],
    [{ use_qalora: true }, /"use_qalora": true/],
    [{ use_bdlora: { nblocks: 2 } }, /"use_bdlora"/],
    [{ arrow_config: { top_k: 2 } }, /"arrow_config"/],
    [{ ensure_weight_tying: true }, /"ensure_weight_tying": true/],
    [{ layers_to_transform: [0] }, /"layers_to_transform": \[0\]/],
    [{ layers_pattern: 'layers' }, /"layers_pattern": "layers"/],
    [{ layer_replication: [[0, 1]] }, /"layer_replication"/],
    [{ target_parameters: ['experts.down_proj'] }, /"target_parameters"/],
    [{ trainable_token_indices: [1] }, /"trainable_token_indices": \[1\]/],
    [{ lora_bias: true }, /"lora_bias": true/],
    [{ bias: 'all' }, /"bias": "all"/],
    [{ fan_in_fan_out: true }, /"fan_in_fan_out": true/],
    [{ task_type: 'SEQ_CLS' }, /"task_type": "SEQ_CLS" is not implemented; only "CAUSAL_LM" is/],
    [{ use_rslora: 'yes' }, /"use_rslora" must be true or false, got "yes"/],
    [{ some_future_variant: true }, /"some_future_variant": true is not implemented; only false is/],
    [{ constructor: 1 }, /"constructor": 1 is not implemented/],
  ])('of another kind is refused by name: %j', (keys, message) => {
    expect(() => check(keys)).toThrow(message)
  })
})
