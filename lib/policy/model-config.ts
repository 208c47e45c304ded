// config.json of a Hugging Face folder <-> ModelConfig. Keys that would change the maths and are not implemented are refused.

import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { readJsonObject } from '../core/json-file.js'
import type { ModelConfig, Precision } from '../native/types.js'
import { architectureOf, architectures, type Json, refusal, refuseOtherMaths } from './architectures.js'
import { refuseUnknownKeys } from './config-keys.js'
import { ropeOf } from './rope-config.js'

export async function readModelConfig(folder: string): Promise<{ config: ModelConfig; json: Json }> {
  const path = join(folder, 'config.json')
  const json = await readJsonObject(path, 'ERR_POLICY_FOLDER')
  return { config: parseModelConfig(json, path), json }
}

/** `where` names the file in errors. */
export function parseModelConfig(json: Json, where: string): ModelConfig {
  const refuse = refusal(where)
  const { qkvBias, qkNorm, defaults } = architectureOf(json, refuse)
  refuseOtherMaths(json, refuse)
  refuseUnknownKeys(json, refuse)
  const number = (key: string, fallback?: number): number => {
    const value = json[key] ?? fallback
    if (typeof value !== 'number' || !(value > 0)) {
      refuse(`"${key}" must be a positive number, got ${JSON.stringify(value) ?? 'nothing'}`)
    }
    return value as number
  }
  const count = (key: string, fallback?: number): number => {
    const value = number(key, fallback)
    return Number.isInteger(value) ? value : refuse(`"${key}" must be a whole number, got ${value}`)
  }
  const hiddenSize = count('hidden_size')
  const heads = count('num_attention_heads')
  const kvHeads = count('num_key_value_heads', defaults.kvHeads === 'heads' ? heads : undefined)
  if (heads % kvHeads !== 0) {
    refuse(`"num_attention_heads": ${heads} is not a multiple of "num_key_value_heads": ${kvHeads}`)
  }
  const rope = ropeOf(json, refuse)
  return {
    vocabSize: count('vocab_size'),
    hiddenSize,
    layers: count('num_hidden_layers'),
    heads,
    kvHeads,
    headDim: count('head_dim', defaults.headDim ?? hiddenSize / heads),
    intermediateSize: count('intermediate_size'),
    maxPositions: count('max_position_embeddings', defaults.maxPositions),
    ropeTheta: rope.theta === undefined ? 10000 : number('rope_theta', rope.theta),
    rmsNormEpsilon: number('rms_norm_eps', 1e-6),
    tieEmbeddings: json.tie_word_embeddings === true,
    qkvBias,
    qkNorm,
    ...(rope.scaling && { ropeScaling: rope.scaling }),
  }
}

/**
 * The config.json to write beside weights of `dtype`: `original`, which the policy was loaded from, with every key that it had;
 * without one, a config.json of the architecture that has these biases and norms.
 */
export function formatModelConfig(config: ModelConfig, dtype: Precision = 'float32', original?: Json): Json {
  if (!original) return { ...freshConfig(config), torch_dtype: dtype }
  const { className } = architectureOf(original, refusal('config.json'))
  const named = Array.isArray(original.architectures) && original.architectures.length > 0
  return {
    ...original,
    // transformers finds the class by "model_type"; vLLM and llama.cpp's converter refuse a config.json without this key.
    ...(!named && { architectures: [className] }),
    // transformers 5 calls it "dtype", and where both are given believes that one.
    ...('dtype' in original && { dtype }),
    ...(('torch_dtype' in original || !('dtype' in original)) && { torch_dtype: dtype }),
  }
}

function freshConfig(config: ModelConfig): Json {
  const found = Object.entries(architectures).find(
    ([, { qkvBias, qkNorm }]) => qkvBias === config.qkvBias && qkNorm === config.qkNorm,
  )
  if (!found) {
    throw new HdpoError(
      'ERR_CONFIG',
      'no Hugging Face architecture has both qkvBias and qkNorm; the policy cannot be saved',
    )
  }
  const [type, { className }] = found
  const { ropeScaling: scaling } = config
  return {
    architectures: [className],
    model_type: type,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositions,
    rope_theta: config.ropeTheta,
    ...(scaling && {
      rope_scaling: {
        rope_type: 'llama3',
        factor: scaling.factor,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
        original_max_position_embeddings: scaling.originalMaxPositions,
      },
    }),
    rms_norm_eps: config.rmsNormEpsilon,
    tie_word_embeddings: config.tieEmbeddings,
    hidden_act: 'silu',
  }
}
