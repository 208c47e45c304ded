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

  it('reads them where every type of layer has its own', () => {
    const { rope_theta, ...rest } = qwen3
    const full_attention = { rope_type: 'default', rope_theta }
    const sliding_attention = { rope_type: 'default', rope_theta: 10000 }
    const layer_types = ['full_attention', 'full_attention']
    const nested = { ...rest, rope_parameters: { full_attention }, layer_types }
    expect(parse(nested).ropeTheta).toBe(1000000)
    expect(parse({ ...rest, rope_parameters: { sliding_attention, full_attention } }).ropeTheta).toBe(1000000)
    const scaled = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 }
    const llama3 = { ...full_attention, ...scaled, original_max_position_embeddings: 64 }
    expect(parse({ ...rest, rope_parameters: { full_attention: llama3 } }).ropeScaling?.factor).toBe(8)
  })

  it('takes what says nothing about the maths, and what is off', () => {
    const notes = {
      unsloth_fixed: true,
      _name_or_path: 'x',
      sep_token_id: 3,
      temperature: 0.6,
      transformers_version: '9',
    }
    const off = { attention_sinks: false, memory_layers: [], gate: null, extras: {} }
    expect(parse({ ...qwen3, ...notes, ...off })).toEqual(parse(qwen3))
  })

  it('takes rotary parameters that are given twice where they agree, and refuses them where not', () => {
    const rope = { rope_type: 'default', rope_theta: 1000000 }
    expect(parse({ ...qwen3, rope_parameters: rope, rope_scaling: { type: 'default' } }).ropeTheta).toBe(
      1000000,
    )
    expect(() => parse({ ...qwen3, rope_parameters: { ...rope, rope_theta: 5000 } })).toThrow(
      /"rope_theta" is given as 1000000 and as 5000/,
    )
    const scaling = {
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 64,
    }
    expect(() =>
      parse({ ...qwen3, rope_parameters: rope, rope_scaling: { ...scaling, rope_type: 'llama3' } }),
    ).toThrow(/"rope_parameters" and "rope_scaling" scale the rotary embedding in different ways/)
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
    [{ model_type: 'mamba' }, /model_type "mamba" is not supported; supported: llama, mistral, qwen2, qwen3/],
    [{ model_type: 'constructor' }, /model_type "constructor" is not supported/],
    [
      { architectures: ['Qwen3ForSequenceClassification'] },
      /Qwen3ForSequenceClassification.*Qwen3ForCausalLM is/,
    ],
    [{ rope_scaling: { type: 'linear' } }, /"rope_scaling": rope type "linear" is not implemented/],
    [{ rope_scaling: { rope_type: 'llama3', factor: 8 } }, /"rope_scaling"."low_freq_factor".*got nothing/],
    [{ rope_parameters: { partial_rotary_factor: 0.5 } }, /"rope_parameters"."partial_rotary_factor": 0.5/],
    [
      { use_sliding_window: true, sliding_window: 4096 },
      /"use_sliding_window": a window of 4096 in a context of 40960/,
    ],
    [{ layer_types: ['full_attention', 'sliding_attention'] }, /"layer_types": "sliding_attention"/],
    [{ num_experts: 64 }, /"num_experts": 64/],
    [{ attention_bias: true }, /"attention_bias": true/],
    [{ mlp_bias: true }, /"mlp_bias": true/],
    [{ partial_rotary_factor: 0.25 }, /"partial_rotary_factor": 0.25/],
    [{ final_logit_softcapping: 30 }, /"final_logit_softcapping": 30/],
    [{ quantization_config: { quant_method: 'awq' } }, /"quantization_config".*awq/],
    [{ auto_map: { AutoModel: 'modeling.X' } }, /"auto_map"/],
    [
      { rope_parameters: { rope_theta: 1000000, attention_factor: 1.3 } },
      /"rope_parameters"."attention_factor": 1.3/,
    ],
    [{ rope_parameters: { rope_theta: 1000000, factor: 4 } }, /"rope_parameters"."factor": 4/],
    [{ rope_parameters: { rope_type: 'default', rope_theta: 1000000, some_day: true } }, /"some_day": true/],
    [
      { rope_parameters: { rope_type: 'default' }, rope_theta: undefined },
      /"rope_parameters" has no "rope_theta"/,
    ],
    [
      { rope_parameters: { sliding_attention: { rope_theta: 10000 } } },
      /"rope_parameters" has parameters for sliding_attention, and none for full_attention/,
    ],
    [
      { rope_parameters: { full_attention: { rope_theta: 1000000 }, rope_theta: 1000000 } },
      /"rope_parameters" has both parameters for types of layers and "rope_theta"/,
    ],
    [
      { rope_parameters: { full_attention: { rope_theta: 1000000, rope_type: 'yarn' } } },
      /"rope_parameters.full_attention": rope type "yarn"/,
    ],
    [{ rope_parameters: 'default' }, /"rope_parameters" must be an object, got "default"/],
    [{ rope_scaling: { rope_type: 'llama3', type: 'linear' } }, /"type" and "rope_type" differ/],
    [{ attention_sinks: true }, /"attention_sinks": true is not known, and may change what is computed/],
    [{ lauren_power: 2 }, /"lauren_power": 2 is not known/],
    [{ hidden_act: 'gelu' }, /"hidden_act": "gelu" is not implemented; only "silu" is/],
    [{ hidden_size: '1024' }, /hidden_size.*positive number, got "1024"/],
    [{ hidden_size: undefined }, /hidden_size.*positive number, got nothing/],
    [{ num_hidden_layers: 0 }, /num_hidden_layers/],
    [{ num_hidden_layers: 1.5 }, /num_hidden_layers.*whole number, got 1.5/],
    [{ num_key_value_heads: 5 }, /16 is not a multiple of "num_key_value_heads": 5/],
  ])('refuses %j', (change, message) => {
    expect(() => parse({ ...qwen3, ...change })).toThrow(message)
  })
})

describe('sliding windows', () => {
  const mistral = {
    ...qwen3,
    model_type: 'mistral',
    use_sliding_window: undefined,
    max_position_embeddings: 32768,
  }

  it.each([
    ['off', { ...qwen3, sliding_window: 4096, max_window_layers: 28 }],
    ['as long as the context', { ...qwen3, use_sliding_window: true, sliding_window: 40960 }],
    ["Mistral's null", { ...mistral, sliding_window: null }],
    ["Mistral's, as long as the context", { ...mistral, sliding_window: 32768 }],
  ])('that do not act are accepted: %s', (_, json) => {
    expect(parse(json).layers).toBe(28)
  })

  it('of Mistral act where given, and at 4096 where the key is absent', () => {
    expect(() => parse({ ...mistral, sliding_window: 1024 })).toThrow(/"sliding_window": a window of 1024/)
    expect(() => parse(mistral)).toThrow(/"sliding_window": a window of 4096 in a context of 32768/)
  })
})

describe('defaults of absent keys', () => {
  const without = (type: string, ...keys: string[]) =>
    parse({
      ...qwen3,
      model_type: type,
      sliding_window: null,
      ...Object.fromEntries(keys.map((key) => [key, undefined])),
    })

  it("are those of the architecture's class in transformers", () => {
    expect(without('llama', 'num_key_value_heads').kvHeads).toBe(16)
    expect(without('llama', 'head_dim').headDim).toBe(64)
    expect(without('qwen3', 'head_dim').headDim).toBe(128)
    expect(without('llama', 'max_position_embeddings').maxPositions).toBe(2048)
    expect(without('llama', 'tie_word_embeddings').tieEmbeddings).toBe(false)
    expect(() => without('qwen2', 'num_key_value_heads')).toThrow(/num_key_value_heads.*got nothing/)
  })
})

describe("Llama 3's rope scaling", () => {
  const scaling = {
    factor: 32,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
    rope_type: 'llama3',
  }
  const expected = {
    type: 'llama3',
    factor: 32,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalMaxPositions: 8192,
  }
  const llama = { ...qwen3, model_type: 'llama' }

  it('is read from either key, and written', () => {
    const config = parse({ ...llama, rope_scaling: scaling })
    expect(config.ropeScaling).toEqual(expected)
    const modern = { ...llama, rope_theta: undefined, rope_parameters: { ...scaling, rope_theta: 500000 } }
    expect(parse(modern)).toEqual({ ...config, ropeTheta: 500000 })
    expect(parse(formatModelConfig(config))).toEqual(config)
  })
})

describe('formatModelConfig', () => {
  it('keeps every key of the config.json that was loaded, but for the type of the weights', () => {
    const named = { ...qwen3, architectures: ['Qwen3ForCausalLM'] }
    const json = { ...named, torch_dtype: 'float16', transformers_version: '4.51.0', bos_token_id: 151643 }
    expect(formatModelConfig(parse(json), 'bfloat16', json)).toEqual({ ...json, torch_dtype: 'bfloat16' })
    const modern = { ...named, dtype: 'bfloat16' }
    expect(formatModelConfig(parse(modern), 'float32', modern)).toEqual({ ...modern, dtype: 'float32' })
    const both = { ...json, ...modern }
    const written = { ...both, dtype: 'float32', torch_dtype: 'float32' }
    expect(formatModelConfig(parse(both), 'float32', both)).toEqual(written)
  })

  it('names the class where the config.json that was loaded does not', () => {
    for (const architectures of [undefined, null, []]) {
      const json = { ...qwen3, architectures }
      expect(formatModelConfig(parse(json), 'float32', json).architectures).toEqual(['Qwen3ForCausalLM'])
    }
  })

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
