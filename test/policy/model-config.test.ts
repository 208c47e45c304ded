import { describe, expect, it } from 'vitest'
import { formatModelConfig, parseModelConfig } from '../../lib/policy/model-config.js'

const qwen3 = {
  model_type: 'qwen3',
  vocab_size: 151936,
  hidden_size: 1024,
  num_hidden_layers: 28,
  num_attention_heads: 16,
  num_key_value_heads: 8,
  head_dim: 128,
  intermediate_size: 3072,
  max_position_embeddings: 40960,
  rope_theta: 1000000,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
  hidden_act: 'silu',
  rope_scaling: null,
  use_sliding_window: false,
  attention_bias: false,
}
const parse = (json: Record<string, unknown>) => parseModelConfig(json, 'config.json')

describe('parseModelConfig', () => {
  it('reads what Hugging Face writes for Qwen3', () => {
    expect(parse(qwen3)).toEqual({
      vocabSize: 151936,
      hiddenSize: 1024,
      layers: 28,
      heads: 16,
      kvHeads: 8,
      headDim: 128,
      intermediateSize: 3072,
      maxPositions: 40960,
      ropeTheta: 1000000,
      rmsNormEpsilon: 1e-6,
      tieEmbeddings: true,
      qkvBias: false,
      qkNorm: true,
    })
  })

  it('reads the mapping that transformers 5 keeps the rotary parameters in', () => {
    const { rope_theta, ...rest } = qwen3
    const rope = { rope_type: 'default', rope_theta }
    expect(parse({ ...rest, rope_parameters: rope }).ropeTheta).toBe(1000000)
    expect(() => parse({ ...rest, rope_parameters: { ...rope, rope_type: 'yarn' } })).toThrow(
      /rope_parameters.*yarn/,
    )
  })

  it('knows which architecture has biases and which head norms', () => {
    const flags = (type: string) => {
      const { qkvBias, qkNorm } = parse({ ...qwen3, model_type: type })
      return { qkvBias, qkNorm }
    }
    expect(flags('llama')).toEqual({ qkvBias: false, qkNorm: false })
    expect(flags('qwen2')).toEqual({ qkvBias: true, qkNorm: false })
  })

  it.each([
    [{ model_type: 'mamba' }, /model_type "mamba" is not supported; supported: llama, qwen2, qwen3/],
    [{ rope_scaling: { type: 'linear' } }, /rope_scaling/],
    [{ use_sliding_window: true }, /use_sliding_window/],
    [{ hidden_act: 'gelu' }, /hidden_act/],
    [{ hidden_size: '1024' }, /hidden_size.*positive number, got "1024"/],
    [{ num_hidden_layers: 0 }, /num_hidden_layers/],
  ])('refuses %j', (change, message) => {
    expect(() => parse({ ...qwen3, ...change })).toThrow(message)
  })
})

describe('formatModelConfig', () => {
  it.each(['llama', 'qwen2', 'qwen3'])('writes what parseModelConfig reads: %s', (type) => {
    const config = parse({ ...qwen3, model_type: type })
    const written = formatModelConfig(config)
    expect(written.model_type).toBe(type)
    expect(parse(written)).toEqual(config)
  })

  it('refuses what no architecture has', () => {
    expect(() => formatModelConfig({ ...parse(qwen3), qkvBias: true })).toThrow(/both qkvBias and qkNorm/)
  })
})
