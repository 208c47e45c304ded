// The architectures of config.json that the native model computes, and the keys by which it would have to compute something else.
import { HdpoError } from '../core/errors.js'

export type Json = Record<string, unknown>

interface Architecture {
  /** The class that transformers loads. */
  className: string
  qkvBias: boolean
  qkNorm: boolean
  /** What transformers takes for keys that config.json leaves out. `undefined`: the key has to be there. */
  defaults: { maxPositions: number; kvHeads?: 'heads'; headDim?: number }
}

/** By `model_type`. SmolLM2 and Llama 2 to 3.2 are "llama", Qwen2.5 is "qwen2". */
export const architectures: Readonly<Record<string, Architecture>> = {
  llama: {
    className: 'LlamaForCausalLM',
    qkvBias: false,
    qkNorm: false,
    defaults: { maxPositions: 2048, kvHeads: 'heads' },
  },
  mistral: {
    className: 'MistralForCausalLM',
    qkvBias: false,
    qkNorm: false,
    defaults: { maxPositions: 131072 },
  },
  qwen2: {
    className: 'Qwen2ForCausalLM',
    qkvBias: true,
    qkNorm: false,
    defaults: { maxPositions: 32768 },
  },
  qwen3: {
    className: 'Qwen3ForCausalLM',
    qkvBias: false,
    qkNorm: true,
    defaults: { maxPositions: 32768, headDim: 128 },
  },
}

export type Refuse = (message: string) => never

/** `where` names the file in errors. */
export function refusal(where: string): Refuse {
  return (message) => {
    throw new HdpoError('ERR_CONFIG', `${where}: ${message}`)
  }
}

export function architectureOf(json: Json, refuse: Refuse): Architecture {
  const supported = Object.keys(architectures).join(', ')
  const type = String(json.model_type)
  const architecture = Object.hasOwn(architectures, type) ? architectures[type] : undefined
  if (!architecture) return refuse(`model_type "${type}" is not supported; supported: ${supported}`)
  const [className = architecture.className] = (json.architectures ?? []) as string[]
  if (className !== architecture.className) {
    refuse(
      `"architectures": "${className}" is not supported; of model_type "${type}" ${architecture.className} is`,
    )
  }
  return architecture
}

/**
 * Keys by which models of these families, or forks of them, compute something else, each with the values that change nothing.
 * An absent or null key never changes anything.
 */
const neutralValues: Record<string, readonly unknown[]> = {
  hidden_act: ['silu'],
  // Query, key, value and output projections; Qwen2's own biases are not under this key.
  attention_bias: [false],
  attention_out_bias: [false],
  mlp_bias: [false],
  attention_dropout: [0],
  partial_rotary_factor: [1],
  rotary_pct: [1],
  rope_interleaved: [false],
  no_rope_layers: [],
  no_rope_layer_interval: [],
  position_embedding_type: ['rope'],
  alibi: [false],
  logit_scale: [1],
  logits_scaling: [1],
  attention_multiplier: [],
  embedding_multiplier: [1],
  residual_multiplier: [1],
  scale_embeddings: [false],
  query_pre_attn_scalar: [],
  final_logit_softcapping: [],
  attn_logit_softcapping: [],
  logits_soft_cap: [],
  attention_chunk_size: [],
  clip_qkv: [],
  parallel_residual: [false],
  use_parallel_residual: [false],
  use_qk_norm: [false],
  qk_layernorm: [false],
  num_experts: [0, 1],
  num_local_experts: [0, 1],
  n_routed_experts: [0],
  moe_intermediate_size: [],
  quantization_config: [],
  compression_config: [],
  // Names code in the model's folder, which may compute anything.
  auto_map: [],
}

/** The keys whose values refuseOtherMaths checks. */
export const keysOfOtherMaths: readonly string[] = Object.keys(neutralValues)

/** Throws naming the first key that would change what is computed. */
export function refuseOtherMaths(json: Json, refuse: Refuse): void {
  for (const [key, neutral] of Object.entries(neutralValues)) {
    const value = json[key]
    if (value === undefined || value === null || neutral.includes(value)) continue
    const only =
      neutral.length > 0 ? `; only ${neutral.map((item) => JSON.stringify(item)).join(' or ')} is` : ''
    refuse(`"${key}": ${shorten(JSON.stringify(value))} is not implemented${only}`)
  }
  refuseSlidingWindow(json, refuse)
}

/** Decides as transformers does which models have a window; one that is shorter than the longest sequence is refused. */
function refuseSlidingWindow(json: Json, refuse: Refuse): void {
  const layerTypes = json.layer_types
  if (Array.isArray(layerTypes)) {
    const other = layerTypes.find((type) => type !== 'full_attention')
    if (other !== undefined)
      refuse(`"layer_types": ${JSON.stringify(other)} is not implemented; only "full_attention" is`)
  }
  const isMistral = json.model_type === 'mistral'
  if (!isMistral && json.use_sliding_window !== true) return
  // Mistral's default where the key is absent; null is none.
  const window = json.sliding_window === undefined ? 4096 : json.sliding_window
  const positions =
    json.max_position_embeddings ?? architectures[String(json.model_type)]?.defaults.maxPositions
  if (window === null || (typeof window === 'number' && window >= Number(positions))) return
  const key = isMistral ? 'sliding_window' : 'use_sliding_window'
  refuse(
    `"${key}": a window of ${JSON.stringify(window)} in a context of ${JSON.stringify(positions)} positions is not ` +
      'implemented; only null, or one of at least "max_position_embeddings", is',
  )
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}
