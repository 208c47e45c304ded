// What policy.save writes, compared with what readers need of each file, by their sources: transformers 4.43 to 5 (configuration_utils,
// modeling_utils, tokenization_auto), vLLM 0.11 (model_loader, registry) and llama.cpp's converter of 2026 (conversion/, gguf-py).
// test/parity/saved-folders.test.ts computes logprobs from such folders with a reader of its own.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { taskTemplate } from '../../lib/families/chat-template.js'
import { parseModelConfig } from '../../lib/policy/model-config.js'
import { Policy, type PolicyDefinition } from '../../lib/policy/policy.js'
import { readTokenizerFiles } from '../../lib/policy/tokenizer.js'
import { writeModelFolder } from './model-folders.js'
import { publishedConfigs, publishedShapes } from './published-configs.js'
import { readSafetensors } from './read-safetensors.js'
import { closing, withPolicy } from './with-policy.js'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hdpo-saved-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const place = (name: string) => join(root, name)
const text = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8')
const json = (folder: string, name: string) => JSON.parse(text(folder, name))

const resave = (from: string, to: string) => withPolicy(from, {}, (policy) => policy.save(to))

/** Files that makers put beside the weights, which save has to carry over byte for byte; spaces and points are as Python writes them. */
const carried: Readonly<Record<string, string>> = {
  'generation_config.json': '{"do_sample": true, "eos_token_id": [2039, 2037], "temperature": 2.0}\n',
  'special_tokens_map.json': '{"eos_token": "<|im_end|>"}\n',
  'added_tokens.json': '{"<|im_end|>": 2039}\n',
  'vocab.json': '{}\n',
  'merges.txt': '#version: 0.2\n',
  'tokenizer.model': 'any bytes: \u0001',
  'chat_template.jinja': taskTemplate.template,
  'additional_chat_templates/tool_use.jinja': `${taskTemplate.template}{# tools #}`,
  'additional_chat_templates/rag.jinja': '{# another #}',
}

function writeCarried(folder: string): void {
  mkdirSync(join(folder, 'additional_chat_templates'), { recursive: true })
  for (const [name, content] of Object.entries(carried)) writeFileSync(join(folder, name), content)
}

describe.each(Object.entries(publishedConfigs))('%s', (name, config) => {
  const dtypeKey = 'dtype' in config ? 'dtype' : 'torch_dtype'
  let [source, saved, sharded] = ['', '', '']

  beforeAll(async () => {
    ;[source, saved, sharded] = [place(name), place(`${name} saved`), place(`${name} sharded`)]
    await writeModelFolder(source, { config })
    writeCarried(source)
    await withPolicy(source, {}, async (policy) => {
      await policy.save(saved)
      await policy.save(sharded, { dtype: 'bfloat16', maxShardBytes: 60_000 })
    })
  })

  // transformers takes the class from "model_type" and every size from here; vLLM and llama.cpp look up "architectures". Keys that hdpo
  // does not know may matter to them.
  it('config.json has every key that it had, and the type of the weights', () => {
    expect(json(saved, 'config.json')).toEqual({ ...config, [dtypeKey]: 'float32' })
    expect(json(sharded, 'config.json')).toEqual({ ...config, [dtypeKey]: 'bfloat16' })
    expect(Object.keys(json(saved, 'config.json'))).toEqual(Object.keys(config))
  })

  // transformers' load_state_dict refuses other metadata, and before 4.48 missing metadata too; a parameter that is missing is drawn
  // at random with only a warning, so all of them have to be there.
  it('model.safetensors has the parameters of the class, by name and shape, and says that it is of PyTorch', () => {
    const { metadata, tensors } = readSafetensors(join(saved, 'model.safetensors'))
    expect(metadata).toEqual({ format: 'pt' })
    const shapes = new Map([...tensors].map(([tensor, { shape }]) => [tensor, shape]))
    expect(new Map([...shapes].sort())).toEqual(new Map([...publishedShapes(config)].sort()))
    expect(new Set([...tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F32']))
  })

  // llama.cpp's converter refuses an index that differs from its shards in any name; vLLM reads only the shards that it names.
  it('shards are named and indexed as transformers does it', () => {
    const { metadata, weight_map: map } = json(sharded, 'model.safetensors.index.json')
    const files = readdirSync(sharded).filter((file) => file.endsWith('.safetensors'))
    const numbers = files.map((_, index) => String(index + 1).padStart(5, '0'))
    expect(files.length).toBeGreaterThan(1)
    expect(files.sort()).toEqual(numbers.map((number) => `model-${number}-of-${numbers.at(-1)}.safetensors`))
    let total = 0
    const found = new Map<string, string>()
    for (const file of files) {
      const shard = readSafetensors(join(sharded, file))
      expect(shard.metadata).toEqual({ format: 'pt' })
      total += shard.bytes
      for (const [tensor, { dtype, shape }] of shard.tensors) {
        found.set(tensor, file)
        expect([dtype, shape], tensor).toEqual(['BF16', publishedShapes(config).get(tensor)])
      }
    }
    expect(new Map(Object.entries(map).sort())).toEqual(new Map([...found].sort()))
    expect(found.size).toBe(publishedShapes(config).size)
    expect(metadata.total_size).toBe(total)
  })

  // AutoTokenizer reads all of these, and a change in one makes another tokenizer. llama.cpp's converter uses it too: it recognises a
  // pre-tokenizer by a hash of the tokens of a text.
  it('tokenizer, templates and generation settings are those of the folder, byte for byte', () => {
    for (const file of ['tokenizer.json', 'tokenizer_config.json', ...Object.keys(carried)]) {
      expect(readFileSync(join(saved, file)).equals(readFileSync(join(source, file))), file).toBe(true)
    }
    expect(new Set(readdirSync(saved))).toEqual(
      new Set([...readdirSync(source), 'README.md'].filter((file) => !file.startsWith('.'))),
    )
  })

  // llama.cpp's converter takes the model's name and tags from the card: YAML between two lines of ---.
  it('the model card begins with metadata', () => {
    const [first, ...lines] = text(saved, 'README.md').split('\n')
    expect(first).toBe('---')
    const metadata = lines.slice(0, lines.indexOf('---'))
    expect(metadata).toEqual([
      'library_name: transformers',
      'pipeline_tag: text-generation',
      'tags:',
      '- hdpo',
      '- tool-calling',
    ])
  })
})

describe('a policy that was made from parts', () => {
  const base = { ...publishedConfigs['Qwen 3'], num_hidden_layers: 1 }
  const definition = (type: string): PolicyDefinition => ({
    config: parseModelConfig({ ...base, model_type: type, architectures: undefined }, type),
    tokenizer: readTokenizerFiles(join(import.meta.dirname, '../../lib/families/atlas')),
    template: {
      ...taskTemplate,
      toolTemplate: `${taskTemplate.template}{# tools #}`,
      beginOfText: '<|endoftext|>',
    },
    threads: 1,
  })
  const create = async (type: string, folder: string) =>
    closing(await Policy.create(definition(type)), (policy) => policy.save(folder))

  it.each([
    ['llama', 'LlamaForCausalLM'],
    ['qwen2', 'Qwen2ForCausalLM'],
    ['qwen3', 'Qwen3ForCausalLM'],
  ])('has a whole config.json: %s', async (type, className) => {
    await create(type, place(`made ${type}`))
    // Without the two token ids transformers takes Llama's, 1 and 2, for the type "llama".
    expect(json(place(`made ${type}`), 'config.json')).toEqual({
      architectures: [className],
      model_type: type,
      bos_token_id: 2037,
      eos_token_id: 2039,
      vocab_size: 2048,
      hidden_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 8,
      intermediate_size: 24,
      max_position_embeddings: 256,
      rope_theta: 1000000,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: true,
      hidden_act: 'silu',
      torch_dtype: 'float32',
    })
  })

  it('has a tokenizer that AutoTokenizer loads as it is, both templates and where a turn ends', async () => {
    const folder = place('made text')
    const parts = definition('qwen3')
    await create('qwen3', folder)
    expect(json(folder, 'tokenizer.json')).toEqual(parts.tokenizer.tokenizer)
    expect(json(folder, 'tokenizer_config.json')).toEqual({
      // Without it transformers 5 builds Qwen's own pre-tokenizer around the vocabulary, for a model of the type qwen3.
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
      eos_token: '<|im_end|>',
      bos_token: '<|endoftext|>',
      chat_template: [
        { name: 'default', template: parts.template.template },
        { name: 'tool_use', template: parts.template.toolTemplate },
      ],
    })
    expect(json(folder, 'generation_config.json')).toEqual({ do_sample: true, eos_token_id: 2039 })
    await withPolicy(folder, {}, async ({ template }) => expect(template.endTokens).toEqual([2039]))
  })
})

describe('where readers would be misled', () => {
  const tied = publishedConfigs['Qwen 3'] as Record<string, unknown>

  // vLLM: "No model architectures are specified"; llama.cpp: KeyError.
  it('a config.json without "architectures" gets the one of its type', async () => {
    await writeModelFolder(place('nameless'), { config: { ...tied, architectures: undefined } })
    await resave(place('nameless'), place('named'))
    expect(json(place('named'), 'config.json')).toEqual({ ...tied, torch_dtype: 'float32' })
  })

  // transformers before 5 warns of each whole number: "`rope_scaling`'s factor field must be a float >= 1, got 8".
  it('whole factors of the rotary embedding keep the point that makes them floats in Python', async () => {
    const llama = publishedConfigs['Llama 3.1'] as Record<string, unknown>
    await writeModelFolder(place('points'), { config: llama })
    await resave(place('points'), place('points saved'))
    const written = text(place('points saved'), 'config.json')
    for (const line of ['"factor": 8.0,', '"low_freq_factor": 1.0,', '"high_freq_factor": 4.0,']) {
      expect(written).toContain(line)
    }
    expect(written).toContain('"original_max_position_embeddings": 64,')
    expect(JSON.parse(written)).toEqual({ ...llama, torch_dtype: 'float32' })
  })

  // generate() and vLLM stop only at these tokens; a base model's file names just the end of a text.
  it('generation_config.json gets the token that ends a turn where it lacks it', async () => {
    await writeModelFolder(place('base'), {
      generationConfig: { eos_token_id: 2037, temperature: 2, top_k: 20 },
    })
    await resave(place('base'), place('base saved'))
    const written = text(place('base saved'), 'generation_config.json')
    expect(JSON.parse(written)).toEqual({ eos_token_id: [2037, 2039], temperature: 2, top_k: 20 })
    // generate() raises for a temperature that is no float.
    expect(written).toContain('"temperature": 2.0,')
    expect(written).toContain('"top_k": 20\n')
  })

  // transformers prefers chat_template.jinja to tokenizer_config.json's template, llama.cpp's converter tokenizer.model to
  // tokenizer.json; vLLM reads every .safetensors file if there is no index.
  it('nothing of the policy that a folder held before stays beside the new one', async () => {
    const [plain, rich, target] = [place('plain'), place('rich'), place('target')]
    await writeModelFolder(plain)
    await writeModelFolder(rich)
    writeCarried(rich)
    await withPolicy(rich, {}, (policy) => policy.save(target, { maxShardBytes: 60_000 }))
    writeFileSync(join(target, 'consolidated.safetensors'), 'of another program')
    writeFileSync(join(target, 'NOTES'), 'mine')
    await resave(plain, target)
    expect(readdirSync(target).sort()).toEqual([
      'NOTES',
      'README.md',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    expect(existsSync(join(target, 'additional_chat_templates'))).toBe(false)
  })

  it('a folder that is saved over itself stays whole', async () => {
    await writeModelFolder(place('itself'))
    writeCarried(place('itself'))
    cpSync(place('itself'), place('copy'), { recursive: true })
    await resave(place('itself'), place('itself'))
    expect(readdirSync(place('itself')).sort()).toEqual([...readdirSync(place('copy')), 'README.md'].sort())
  })
})
