// config.json files of small models with the vocabulary of the atlas tokenizer, with the keys that makers of models publish.

const small = { hidden_size: 16, intermediate_size: 24, num_attention_heads: 4, num_hidden_layers: 2 }

/** Qwen2.5 with untied embeddings, as from 7B on. */
const qwen2 = {
  architectures: ['Qwen2ForCausalLM'],
  attention_dropout: 0,
  bos_token_id: 2037,
  eos_token_id: 2039,
  hidden_act: 'silu',
  initializer_range: 0.02,
  ...small,
  max_position_embeddings: 256,
  max_window_layers: 2,
  model_type: 'qwen2',
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  sliding_window: 131072,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.43.1',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 2048,
}

const qwen3 = {
  architectures: ['Qwen3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 2037,
  eos_token_id: 2039,
  head_dim: 8,
  hidden_act: 'silu',
  ...small,
  max_position_embeddings: 256,
  max_window_layers: 2,
  model_type: 'qwen3',
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 1000000,
  sliding_window: null,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  transformers_version: '4.51.0',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 2048,
}

/** Qwen3 again, as save_pretrained of transformers 5 writes it. */
const { torch_dtype, rope_scaling, rope_theta, ...unchanged } = qwen3
const modernQwen3 = {
  ...unchanged,
  dtype: torch_dtype,
  layer_types: ['full_attention', 'full_attention'],
  pad_token_id: null,
  rope_parameters: { rope_theta, rope_type: 'default' },
  transformers_version: '5.0.0',
}

const llama = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 2037,
  eos_token_id: [2037, 2039],
  hidden_act: 'silu',
  ...small,
  initializer_range: 0.02,
  max_position_embeddings: 256,
  mlp_bias: false,
  model_type: 'llama',
  num_key_value_heads: 2,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    // Small, so that some of a head's frequencies are kept, some are divided, and some lie between the two.
    original_max_position_embeddings: 64,
    rope_type: 'llama3',
  },
  rope_theta: 500,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.42.3',
  use_cache: true,
  vocab_size: 2048,
}

const smollm2 = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 2038,
  eos_token_id: 2039,
  hidden_act: 'silu',
  ...small,
  initializer_range: 0.041666666666666664,
  is_llama_config: true,
  max_position_embeddings: 256,
  mlp_bias: false,
  model_type: 'llama',
  num_key_value_heads: 2,
  pad_token_id: 2039,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_interleaved: false,
  rope_scaling: null,
  rope_theta: 100000,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  transformers_version: '4.42.3',
  use_cache: true,
  vocab_size: 2048,
}

const mistral = {
  architectures: ['MistralForCausalLM'],
  attention_dropout: 0,
  bos_token_id: 2037,
  eos_token_id: 2039,
  head_dim: 8,
  hidden_act: 'silu',
  ...small,
  initializer_range: 0.02,
  max_position_embeddings: 256,
  model_type: 'mistral',
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  rope_theta: 1000000,
  sliding_window: null,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.42.0',
  use_cache: true,
  vocab_size: 2048,
}

export const publishedConfigs: Readonly<Record<string, Record<string, unknown>>> = {
  'Qwen 2.5': qwen2,
  'Qwen 3': qwen3,
  'Qwen 3 by transformers 5': modernQwen3,
  'Llama 3.1': llama,
  'SmolLM 2': smollm2,
  Mistral: mistral,
}

/** Shapes of the class's parameters, by name, as in transformers. Every model here has heads of size 4 or 8. */
export function publishedShapes(json: Record<string, unknown>): Map<string, number[]> {
  const headDim = (json.head_dim ?? 4) as number
  const [queries, keys] = [4 * headDim, 2 * headDim]
  const layer = (at: string): [string, number[]][] => [
    [`${at}.self_attn.q_proj.weight`, [queries, 16]],
    [`${at}.self_attn.k_proj.weight`, [keys, 16]],
    [`${at}.self_attn.v_proj.weight`, [keys, 16]],
    [`${at}.self_attn.o_proj.weight`, [16, queries]],
    [`${at}.mlp.gate_proj.weight`, [24, 16]],
    [`${at}.mlp.up_proj.weight`, [24, 16]],
    [`${at}.mlp.down_proj.weight`, [16, 24]],
    [`${at}.input_layernorm.weight`, [16]],
    [`${at}.post_attention_layernorm.weight`, [16]],
  ]
  const ofQwen2 = (at: string): [string, number[]][] => [
    [`${at}.self_attn.q_proj.bias`, [queries]],
    [`${at}.self_attn.k_proj.bias`, [keys]],
    [`${at}.self_attn.v_proj.bias`, [keys]],
  ]
  const ofQwen3 = (at: string): [string, number[]][] => [
    [`${at}.self_attn.q_norm.weight`, [headDim]],
    [`${at}.self_attn.k_norm.weight`, [headDim]],
  ]
  const shapes = ['model.layers.0', 'model.layers.1'].flatMap((at) => [
    ...layer(at),
    ...(json.model_type === 'qwen2' ? ofQwen2(at) : []),
    ...(json.model_type === 'qwen3' ? ofQwen3(at) : []),
  ])
  return new Map([
    ['model.embed_tokens.weight', [2048, 16]],
    ['model.norm.weight', [16]],
    // transformers makes a tied head of the embedding; a second copy in the file would be a shared tensor, which it refuses to save.
    ...(json.tie_word_embeddings ? [] : ([['lm_head.weight', [2048, 16]]] as [string, number[]][])),
    ...shapes,
  ])
}
