// config.json of a Hugging Face folder <-> ModelConfig. Keys that would change the maths and are not implemented are refused.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../errors.js'
import type { ModelConfig } from '../native.js'

type Json = Record<string, unknown>

const architectures: Record<string, { qkvBias: boolean; qkNorm: boolean }> = {
  llama: { qkvBias: false, qkNorm: false },
  qwen2: { qkvBias: true, qkNorm: false },
  qwen3: { qkvBias: false, qkNorm: true },
}

export async function readModelConfig(folder: string): Promise<ModelConfig> {
  const path = join(folder, 'config.json')
  let json: Json
  try {
    json = JSON.parse(await readFile(path, 'utf8')) as Json
  } catch (error) {
    throw new HdpoError('ERR_POLICY_FOLDER', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
  return parseModelConfig(json, path)
}

/** `where` names the file in errors. */
export function parseModelConfig(json: Json, where: string): ModelConfig {
  const refuse = (message: string): never => {
    throw new HdpoError('ERR_CONFIG', `${where}: ${message}`)
  }
  const type = String(json.model_type)
  const architecture = architectures[type]
  if (!architecture) {
    return refuse(
      `model_type "${type}" is not supported; supported: ${Object.keys(architectures).join(', ')}`,
    )
  }
  for (const key of ['rope_scaling', 'use_sliding_window', 'mlp_bias', 'attention_bias']) {
    if (json[key]) refuse(`"${key}": ${JSON.stringify(json[key])} is not implemented`)
  }
  if (json.hidden_act !== undefined && json.hidden_act !== 'silu') {
    refuse(`"hidden_act": ${JSON.stringify(json.hidden_act)} is not implemented; only "silu" is`)
  }
  // transformers 5 writes the rotary embedding's parameters into a mapping of their own.
  const rope = (json.rope_parameters ?? {}) as Json
  if (rope.rope_type !== undefined && rope.rope_type !== 'default') {
    refuse(`"rope_parameters": ${JSON.stringify(rope)} is not implemented`)
  }
  const number = (key: string, fallback?: number): number => {
    const value = json[key] ?? fallback
    if (typeof value !== 'number' || !(value > 0))
      refuse(`"${key}" must be a positive number, got ${JSON.stringify(value)}`)
    return value as number
  }
  const hiddenSize = number('hidden_size')
  const heads = number('num_attention_heads')
  return {
    vocabSize: number('vocab_size'),
    hiddenSize,
    layers: number('num_hidden_layers'),
    heads,
    kvHeads: number('num_key_value_heads', heads),
    headDim: number('head_dim', hiddenSize / heads),
    intermediateSize: number('intermediate_size'),
    maxPositions: number('max_position_embeddings', 2048),
    ropeTheta: number('rope_theta', (rope.rope_theta as number | undefined) ?? 10000),
    rmsNormEpsilon: number('rms_norm_eps', 1e-6),
    tieEmbeddings: json.tie_word_embeddings === true,
    ...architecture,
  }
}

export async function writeModelConfig(folder: string, config: ModelConfig): Promise<void> {
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(formatModelConfig(config), null, 2)}\n`)
}

export function formatModelConfig(config: ModelConfig): Json {
  const type = Object.keys(architectures).find((name) => {
    const architecture = architectures[name]
    return architecture?.qkvBias === config.qkvBias && architecture.qkNorm === config.qkNorm
  })
  if (!type) {
    throw new HdpoError(
      'ERR_CONFIG',
      'no Hugging Face architecture has both qkvBias and qkNorm; the policy cannot be saved',
    )
  }
  return {
    architectures: [
      { llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM', qwen3: 'Qwen3ForCausalLM' }[type],
    ],
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
    rms_norm_eps: config.rmsNormEpsilon,
    tie_word_embeddings: config.tieEmbeddings,
    hidden_act: 'silu',
    torch_dtype: 'float32',
  }
}
