// What policy.saveAdapter writes, compared with what its readers need, by their sources: PEFT 0.20 (config, tuners/lora,
// utils/save_and_load), vLLM 0.11 (lora/peft_helper, lora_model, config/lora) and llama.cpp's convert_lora_to_gguf.py of 2026.
// test/parity/saved-folders.test.ts computes logprobs from a base and an adapter with a reader of its own.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { taskTemplate } from '../../lib/families/chat-template.js'
import type { LoraSettings } from '../../lib/policy/lora-options.js'
import { Policy, type PolicyOptions } from '../../lib/policy/policy.js'
import { readTokenizerFiles } from '../../lib/policy/tokenizer.js'
import { writeModelFolder } from './model-folders.js'
import { publishedConfigs, publishedShapes } from './published-configs.js'
import { readSafetensors } from './read-safetensors.js'
import { closing, withPolicy } from './with-policy.js'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hdpo-adapters-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const place = (name: string) => join(root, name)
const json = (folder: string, name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'))

const saveAdapter = (base: string, lora: LoraSettings, folder: string, options: PolicyOptions = {}) =>
  withPolicy(base, { lora, ...options }, (policy) => policy.saveAdapter(folder))

describe.each(Object.entries(publishedConfigs))('%s', (name, config) => {
  let [base, all, some] = ['', '', '']

  beforeAll(async () => {
    ;[base, all, some] = [place(name), place(`${name} all`), place(`${name} some`)]
    await writeModelFolder(base, { config })
    await saveAdapter(base, { rank: 4, alpha: 12, dropout: 0.1 }, all, { precision: 'bfloat16' })
    await saveAdapter(base, { rank: 2, targetModules: ['v_proj', 'q_proj'], rankStabilized: true }, some)
  })

  // PEFT makes a LoraConfig of these keys and warns of every one that it does not know; vLLM needs r, lora_alpha and target_modules and
  // refuses use_dora and modules_to_save; AutoPeftModelForCausalLM uses task_type and the base's path.
  it('adapter_config.json is one of PEFT', () => {
    const plain = {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: base,
      bias: 'none',
      use_dora: false,
      fan_in_fan_out: false,
      init_lora_weights: true,
      inference_mode: true,
      modules_to_save: null,
      rank_pattern: {},
      alpha_pattern: {},
      layers_to_transform: null,
      layers_pattern: null,
    }
    expect(json(all, 'adapter_config.json')).toEqual({
      ...plain,
      r: 4,
      lora_alpha: 12,
      lora_dropout: 0.1,
      use_rslora: false,
      target_modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    })
    expect(json(some, 'adapter_config.json')).toEqual({
      ...plain,
      r: 2,
      lora_alpha: 4,
      lora_dropout: 0,
      use_rslora: true,
      target_modules: ['q_proj', 'v_proj'],
    })
  })

  // PEFT puts the adapter's name after lora_A and lora_B and finds the module by the part before; vLLM refuses modules that it does not
  // expect; llama.cpp's converter refuses a tensor that is neither A nor B, and an A without its B.
  it.each([
    ['all seven modules', () => all, 4, /_proj$/],
    ['two modules', () => some, 2, /[qv]_proj$/],
  ])('adapter_model.safetensors has A and B of %s of every layer', (_, folder, rank, isTarget) => {
    const { metadata, tensors } = readSafetensors(join(folder(), 'adapter_model.safetensors'))
    const expected = [...publishedShapes(config)].flatMap(([weight, shape]) => {
      const module = weight.replace(/\.weight$/, '')
      if (!isTarget.test(module)) return []
      const [outputs, inputs] = shape as [number, number]
      return [
        [`base_model.model.${module}.lora_A.weight`, [rank, inputs]],
        [`base_model.model.${module}.lora_B.weight`, [outputs, rank]],
      ] as const
    })
    expect(metadata).toEqual({ format: 'pt' })
    const shapes = [...tensors].map(([tensor, { shape }]) => [tensor, shape] as const)
    expect(new Map(shapes.sort())).toEqual(new Map(expected.sort()))
    // The adapter is stored as it is trained, whatever the precision of the weights. PEFT, vLLM and the converter cast it to theirs.
    expect(new Set([...tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F32']))
  })

  it('the tokenizer is beside it, byte for byte, and nothing that is a model', () => {
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
      expect(readFileSync(join(all, file)).equals(readFileSync(join(base, file))), file).toBe(true)
    }
    expect(readdirSync(all).sort()).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'generation_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    expect(readFileSync(join(all, 'README.md'), 'utf8')).toMatch(/^---\nlibrary_name: peft\n/)
  })
})

describe('where readers would be misled', () => {
  it('the base of a policy that was made from parts has no path: null, as PEFT has it, and not the path ""', async () => {
    const config = {
      vocabSize: 2048,
      hiddenSize: 16,
      layers: 1,
      heads: 4,
      kvHeads: 2,
      headDim: 4,
      intermediateSize: 24,
    }
    const rest = { maxPositions: 256, ropeTheta: 1e4, rmsNormEpsilon: 1e-5, tieEmbeddings: true }
    const definition = {
      config: { ...config, ...rest, qkvBias: false, qkNorm: false },
      tokenizer: readTokenizerFiles(join(import.meta.dirname, '../../lib/families/atlas')),
      template: taskTemplate,
      lora: { rank: 2 },
      threads: 1,
    }
    await closing(await Policy.create(definition), (policy) => policy.saveAdapter(place('no base')))
    expect(json(place('no base'), 'adapter_config.json').base_model_name_or_path).toBeNull()
    await expect(Policy.load(place('no base'))).rejects.toThrow(/adapter of "", which is no folder here/)
  })

  // transformers' from_pretrained takes a folder with both as an adapter, hdpo refuses it.
  it('a model that was in the folder before does not stay beside the adapter, nor its base under it', async () => {
    await writeModelFolder(place('under'))
    await writeModelFolder(place('before'))
    writeFileSync(join(place('before'), 'chat_template.jinja'), taskTemplate.template)
    await saveAdapter(place('under'), { rank: 2 }, place('before'))
    for (const name of ['config.json', 'model.safetensors', 'chat_template.jinja']) {
      expect(existsSync(join(place('before'), name)), name).toBe(false)
    }
    await expect(saveAdapter(place('under'), { rank: 2 }, place('under'))).rejects.toThrow(
      /under holds the base model of the adapter; save the adapter into another folder/,
    )
    expect(existsSync(join(place('under'), 'model.safetensors'))).toBe(true)
  })

  // PEFT and TRL save a tokenizer beside an adapter and no generation_config.json.
  it('an adapter without generation settings ends turns where its base does, alone and merged', async () => {
    const [base, adapter, merged] = [place('ends'), place('ends adapter'), place('ends merged')]
    await writeModelFolder(base, { generationConfig: { eos_token_id: [2039, 2040], top_k: 20 } })
    await saveAdapter(base, { rank: 2 }, adapter)
    rmSync(join(adapter, 'generation_config.json'))
    await withPolicy(adapter, {}, async (policy) => {
      expect(policy.template.endTokens).toEqual([2039, 2040])
      await policy.save(merged)
    })
    expect(json(merged, 'generation_config.json')).toEqual({ eos_token_id: [2039, 2040], top_k: 20 })
  })
})
