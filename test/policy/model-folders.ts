// Small models in folders as Hugging Face has them: random weights, real tokenizers.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { taskTemplate } from '../../lib/families/chat-template.js'
import { loadAddon } from '../../lib/native/addon.js'
import { resolveEngine } from '../../lib/native/engine-options.js'
import { parseModelConfig } from '../../lib/policy/model-config.js'
import { type PublishedTokenizer, publishedTokenizerFolder } from './published-tokenizer.js'

export const tinyQwen3 = {
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  vocab_size: 151936,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  intermediate_size: 24,
  max_position_embeddings: 512,
  rope_theta: 1000000,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
  hidden_act: 'silu',
  rope_scaling: null,
  use_sliding_window: false,
  attention_bias: false,
  torch_dtype: 'bfloat16',
  bos_token_id: 151643,
  eos_token_id: 151645,
  transformers_version: '4.51.0',
}

/** The same model with the small vocabulary of the task families' tokenizer, which loads quickly. */
export const tinyAtlas = { ...tinyQwen3, vocab_size: 2048, max_position_embeddings: 256 }

export interface ModelFolderOptions {
  config?: Record<string, unknown>
  tokenizer?: PublishedTokenizer | 'atlas' | 'none'
  generationConfig?: Record<string, unknown>
  seed?: number
  dtype?: 'float32' | 'bfloat16'
  maxShardBytes?: number
}

export async function writeModelFolder(folder: string, options: ModelFolderOptions = {}): Promise<void> {
  const { config = tinyAtlas, tokenizer = 'atlas', seed = 1, dtype = 'float32', maxShardBytes } = options
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  if (options.generationConfig) {
    writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(options.generationConfig))
  }
  if (tokenizer !== 'none') writeTokenizer(folder, tokenizer)
  const { Engine } = loadAddon()
  const engine = new Engine(
    resolveEngine({ config: parseModelConfig(config, 'config.json'), seed, threads: 1 }),
  )
  await engine.ready()
  await engine.saveWeights(join(folder, 'model.safetensors'), dtype, maxShardBytes)
  await engine.close()
}

export function writeTokenizer(folder: string, tokenizer: PublishedTokenizer | 'atlas'): void {
  if (tokenizer === 'atlas') {
    const path = new URL('../../lib/families/atlas/tokenizer.json', import.meta.url)
    copyFileSync(path, join(folder, 'tokenizer.json'))
    const { template, endOfTurn } = taskTemplate
    const config = { chat_template: template, eos_token: endOfTurn }
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
    return
  }
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(publishedTokenizerFolder(tokenizer), name), join(folder, name))
  }
}
