import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAddon } from '../../lib/native/addon.js'
import { Policy, type PolicyOptions } from '../../lib/policy/policy.js'
import { readPolicyFolder } from '../../lib/policy/policy-folder.js'
import { SupervisedTrainer } from '../../lib/trainer/supervised-trainer.js'
import { tinyAtlas, tinyQwen3, writeModelFolder, writeTokenizer } from './model-folders.js'
import { withPolicy } from './with-policy.js'

let root: string
let tiny: string
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'hdpo-policy-'))
  tiny = join(root, 'tiny')
  await writeModelFolder(tiny, { generationConfig: { eos_token_id: [2, 0, 2039], top_k: 20 } })
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const place = (name: string) => join(root, name)
const json = (folder: string, name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
const lora = { rank: 4, dropout: 0.1 }
const batch = {
  tokens: Int32Array.from([970, 11, 1879, 0, 383, 374, 279, 672, 315, 962, 30]),
  offsets: Int32Array.from([0, 4, 11]),
  mask: Uint8Array.from([0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]),
}
const optimizer = { learningRate: 0.05 }
const logprobs = async (policy: Policy, reference = false) =>
  Array.from((await policy.logprobs(batch.tokens, batch.offsets, { reference })).logprobs)

function expectClose(actual: readonly number[], expected: readonly number[], allowed: number): void {
  expect(
    Math.max(...actual.map((value, index) => Math.abs(value - (expected[index] as number)))),
  ).toBeLessThan(allowed)
}

describe('a folder of Hugging Face', () => {
  it('loads: sizes, tokens that end a turn, format of calls', async () => {
    await withPolicy(tiny, {}, async ({ config, template, lora: adapter, maxTokens, precision }) => {
      expect(config).toMatchObject({ vocabSize: 2048, hiddenSize: 16, qkNorm: true })
      expect(maxTokens).toBe(256)
      expect(template.endTokens).toEqual([2039, 2, 0])
      expect(template).toMatchObject({ endOfTurn: 2039, toolFormat: 'hermes', writesCalls: true })
      expect(adapter).toBeUndefined()
      expect(precision).toBe('float32')
    })
  })

  it('is written back with every key and file that it had', async () => {
    const saved = place('saved')
    const before = await withPolicy(tiny, {}, async (policy) => {
      await policy.save(saved)
      return logprobs(policy)
    })
    expect(json(saved, 'config.json')).toEqual({ ...tinyAtlas, torch_dtype: 'float32' })
    expect(json(saved, 'generation_config.json')).toEqual({ eos_token_id: [2, 0, 2039], top_k: 20 })
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      expect(readFileSync(join(saved, name)).equals(readFileSync(join(tiny, name)))).toBe(true)
    }
    expect(readFileSync(join(saved, 'README.md'), 'utf8')).toMatch(
      /^---\nlibrary_name: transformers[\s\S]*qwen3 model that began as/,
    )
    expect(await withPolicy(saved, {}, logprobs)).toEqual(before)
    expect(readdirSync(root).filter((name) => name.startsWith('.saved'))).toEqual([])
  })

  it('is split into shards, and loads from them', async () => {
    const sharded = place('sharded')
    const before = await withPolicy(tiny, {}, async (policy) => {
      await policy.save(sharded, { maxShardBytes: 40_000 })
      return logprobs(policy)
    })
    const shards = readdirSync(sharded).filter((name) => name.endsWith('.safetensors'))
    expect(shards.length).toBeGreaterThan(1)
    expect(new Set(Object.values(json(sharded, 'model.safetensors.index.json').weight_map))).toEqual(
      new Set(shards),
    )
    expect(await withPolicy(sharded, {}, logprobs)).toEqual(before)
    // The policy is saved as one file again: the old shards and their index must not stay beside it.
    await withPolicy(sharded, {}, (policy) => policy.save(sharded))
    expect(readdirSync(sharded).filter((name) => /safetensors/.test(name))).toEqual(['model.safetensors'])
    rmSync(join(sharded, 'model.safetensors'))
  })

  it('keeps files of other people in a folder that is saved to again', async () => {
    const folder = place('again')
    await withPolicy(tiny, {}, async (policy) => {
      await policy.save(folder)
      writeFileSync(join(folder, 'NOTES'), 'mine')
      await policy.save(folder, { dtype: 'bfloat16' })
    })
    expect(readFileSync(join(folder, 'NOTES'), 'utf8')).toBe('mine')
    expect(json(folder, 'config.json').torch_dtype).toBe('bfloat16')
  })

  it('trains in bfloat16, and its checkpoints keep the masters', async () => {
    const [folder, half] = [place('masters'), place('half')]
    const trained = await withPolicy(tiny, { precision: 'bfloat16' }, async (policy) => {
      await policy.supervisedStep(batch, optimizer)
      await policy.saveCheckpoint(folder)
      await policy.save(half)
      return logprobs(policy)
    })
    expect(json(folder, 'config.json').torch_dtype).toBe('float32')
    expect(json(half, 'config.json').torch_dtype).toBe('bfloat16')
    expect(await withPolicy(folder, { precision: 'bfloat16' }, logprobs)).toEqual(trained)
    // Norms, which the engine holds in float32, are rounded too.
    expectClose(await withPolicy(half, { precision: 'bfloat16' }, logprobs), trained, 0.05)
  })
})

describe('LoRA', () => {
  it('trains, is saved merged and as an adapter, and both load to the same logprobs', async () => {
    const [merged, adapter] = [place('merged'), place('adapter')]
    const base = await withPolicy(tiny, {}, logprobs)
    const trained = await withPolicy(tiny, { lora }, async (policy) => {
      expect(policy.trainableParameterCount).toBeLessThan(policy.parameterCount / 10)
      expect(await logprobs(policy)).toEqual(base)
      for (let step = 0; step < 2; step++) await policy.supervisedStep(batch, optimizer)
      await policy.save(merged, {
        training: { method: 'supervised', steps: 2, before: { accuracy: 0.25 }, after: { accuracy: 0.5 } },
      })
      await policy.saveAdapter(adapter)
      expect(await logprobs(policy, true)).toEqual(base)
      return logprobs(policy)
    })
    expect(Math.abs((trained[1] as number) - (base[1] as number))).toBeGreaterThan(1e-3)
    expectClose(await withPolicy(merged, {}, logprobs), trained, 1e-4)
    expect(await withPolicy(adapter, {}, logprobs)).toEqual(trained)
    expect(readFileSync(join(merged, 'README.md'), 'utf8')).toContain('| accuracy | 0.25 | 0.5 |')
    expect(json(adapter, 'adapter_config.json')).toMatchObject({
      peft_type: 'LORA',
      r: 4,
      lora_alpha: 8,
      base_model_name_or_path: tiny,
    })
  })

  it('goes on from an adapter, whose options it has', async () => {
    const adapter = place('adapter')
    await withPolicy(adapter, {}, async (policy) => {
      expect(policy.lora).toMatchObject({ rank: 4, alpha: 8, dropout: 0.1 })
      await policy.supervisedStep(batch, optimizer)
    })
    await expect(Policy.load(adapter, { lora: { rank: 8 } })).rejects.toThrow(
      'lora.rank: must be 4, as the adapter in the folder has it, got 8',
    )
  })

  it('merges and unmerges to the same bits', async () => {
    await withPolicy(place('adapter'), {}, async (policy) => {
      const before = await logprobs(policy)
      const reference = await logprobs(policy, true)
      await policy.merge()
      await policy.unmerge()
      expect(await logprobs(policy)).toEqual(before)
      expect(await logprobs(policy, true)).toEqual(reference)
    })
  })

  it('resumes a run from its checkpoint to the numbers of an unbroken one', async () => {
    const conversations = [
      {
        messages: [
          { role: 'user' as const, content: 'What is 2 + 2?' },
          { role: 'assistant' as const, content: '4 🙂' },
        ],
      },
    ]
    const run = async (output: string, steps: number, resume: boolean) =>
      withPolicy(tiny, { lora }, async (policy) => {
        const settings = {
          policy,
          tools: [],
          conversations,
          output,
          tokensPerStep: 32,
          optimizer,
          checkpointEvery: 1,
        }
        for await (const _ of new SupervisedTrainer({ ...settings, steps }).run({ resume })) {
          // Steps are compared by the weights that they end with.
        }
        return logprobs(policy)
      })
    const unbroken = await run(place('unbroken'), 4, false)
    await run(place('broken'), 2, false)
    expect(await run(place('broken'), 4, true)).toEqual(unbroken)
    expect(existsSync(join(place('broken'), 'checkpoints/step-4/adapter_model.safetensors'))).toBe(true)
    expect(existsSync(join(place('broken'), 'checkpoints/step-4/model.safetensors'))).toBe(false)
    expect(await withPolicy(join(place('broken'), 'checkpoints/step-4'), {}, logprobs)).toEqual(unbroken)
  })
})

describe('a Qwen3-shaped model with the real tokenizer and template', () => {
  it('is loaded, trained with LoRA, saved and loaded again to the same logprobs', async () => {
    const [qwen3, merged] = [place('Qwen3-tiny'), place('Qwen3-trained')]
    await writeModelFolder(qwen3, { config: tinyQwen3, tokenizer: 'qwen3' })
    const question = [{ role: 'user' as const, content: 'Wie heißt die Hauptstadt von 日本? 🗾' }]
    const trained = await withPolicy(
      qwen3,
      { lora, templateVariables: { enable_thinking: false } },
      async (policy) => {
        const prompt = policy.template.prompt(question, [])
        expect(policy.tokenizer.decode(prompt)).toBe(
          `<|im_start|>user\n${question[0]?.content}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n`,
        )
        const tokens = Int32Array.from(prompt)
        const step = {
          tokens,
          offsets: Int32Array.of(0, tokens.length),
          mask: new Uint8Array(tokens.length).fill(1),
        }
        step.mask[0] = 0
        for (let count = 0; count < 2; count++) await policy.supervisedStep(step, optimizer)
        await policy.save(merged)
        return logprobs(policy)
      },
    )
    expectClose(await withPolicy(merged, {}, logprobs), trained, 1e-4)
  }, 120_000)
})

describe('refusals before anything is trained', () => {
  const load = (folder: string, options: PolicyOptions = {}) =>
    Policy.load(folder, { threads: 1, ...options })

  it('of folders that are none', async () => {
    await expect(load(place('nowhere'))).rejects.toThrow(/there is no folder .*nowhere.*not downloaded/)
    writeFileSync(place('file'), '')
    await expect(load(place('file'))).rejects.toThrow(/is a file; a policy is a folder/)
  })

  it('of a folder without a tokenizer, template or weights, or with weights of another kind', async () => {
    const folder = place('incomplete')
    await writeModelFolder(folder, { tokenizer: 'none' })
    await expect(load(folder)).rejects.toThrow(/has no tokenizer\.json/)
    writeTokenizer(folder, 'atlas')
    const config = json(folder, 'tokenizer_config.json')
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ ...config, chat_template: undefined }),
    )
    await expect(load(folder)).rejects.toThrow(/has no chat template/)
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ ...config, chat_template: '{% for %}' }),
    )
    await expect(load(folder)).rejects.toThrow(/chat template does not parse/)
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
    renameSync(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin'))
    await expect(load(folder)).rejects.toThrow(/no weights.*pytorch_model\.bin.*safe_serialization/)
    const index = {
      weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
    }
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
    await expect(load(folder)).rejects.toThrow(/lacks 2 of the 2 shards/)
    index.weight_map.a = '../model.safetensors'
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
    await expect(load(folder)).rejects.toThrow(/outside its folder/)
  })

  it('of weights that are missing, extra or misshapen, by name', async () => {
    const folder = place('misshapen')
    await writeModelFolder(folder)
    const change = (keys: Record<string, unknown>) =>
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...tinyAtlas, ...keys }))
    change({ num_hidden_layers: 3 })
    await expect(load(folder)).rejects.toThrow(/model\.layers\.2\./)
    change({ num_hidden_layers: 1 })
    await expect(load(folder)).rejects.toThrow(/model\.layers\.1\./)
    change({ intermediate_size: 32 })
    await expect(load(folder)).rejects.toThrow(/mlp\..*_proj/)
    const path = join(folder, 'model.safetensors')
    change({})
    writeFileSync(path, readFileSync(path).subarray(0, 100_000))
    await expect(load(folder)).rejects.toThrow(/model\.safetensors/)
  })

  it('of tensors that the model does not have, by name, but of the rotary frequencies of older checkpoints', async () => {
    const [older, other] = [place('older'), place('other')]
    const before = await withPolicy(tiny, {}, async (policy) => {
      await policy.save(older)
      await policy.save(other)
      return logprobs(policy)
    })
    const frequencies = [0, 1].map((layer) => `model.layers.${layer}.self_attn.rotary_emb.inv_freq`)
    for (const name of frequencies) addTensor(join(older, 'model.safetensors'), name)
    expect(await withPolicy(older, {}, logprobs)).toEqual(before)
    const unknown = ['model.layers.0.self_attn.inv_freq', 'model.layers.0.self_attn.sinks']
    for (const name of unknown) addTensor(join(other, 'model.safetensors'), name)
    await expect(Policy.load(other)).rejects.toThrow(
      new RegExp(`tensors that the model does not have: .*${unknown[0]}.*${unknown[1]}`),
    )
  })

  it('of a vocabulary larger than the embedding', async () => {
    const folder = place('vocabulary')
    await writeModelFolder(folder, { config: { ...tinyAtlas, vocab_size: 2047 } })
    await expect(load(folder)).rejects.toThrow(
      'config.vocabSize: must be at least 2048, the size of the tokenizer, got 2047',
    )
  })

  it('of an adapter whose base is not here, until it is named', async () => {
    const adapter = place('adapter')
    const config = json(adapter, 'adapter_config.json')
    const write = (keys: object) =>
      writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify({ ...config, ...keys }))
    write({ base_model_name_or_path: 'Qwen/Qwen3-tiny' })
    await expect(load(adapter)).rejects.toThrow(/adapter of "Qwen\/Qwen3-tiny".*option base/)
    await withPolicy(adapter, { base: tiny }, async ({ lora: options }) => expect(options?.rank).toBe(4))
    write({ use_dora: true })
    await expect(load(adapter)).rejects.toThrow(/"use_dora": true is not implemented/)
    write({ target_modules: ['lm_head'] })
    await expect(load(adapter)).rejects.toThrow(/targetModules.*lm_head/)
    write({})
  })

  it('of options', async () => {
    await expect(load(tiny, { templateVariables: { enable_thinking: true } })).rejects.toThrow(
      /does not read the variable "enable_thinking"/,
    )
  })

  it.skipIf(loadAddon().cudaStatus().usable)('of a GPU that is not there', async () => {
    await expect(load(tiny, { device: 'cuda' })).rejects.toMatchObject({ code: 'ERR_DEVICE' })
  })
})

describe('a vocabulary with more ids than the tokenizer has tokens', () => {
  const prompt = Int32Array.from([970, 11, 1879])

  it.each([
    ['freely', { temperature: 3 }],
    ['greedily', { temperature: 0 }],
    ['of the likeliest', { temperature: 3, topK: 40 }],
    ['by their share', { temperature: 3, topP: 0.9, minP: 0.001 }],
    ['with a bias', { temperature: 3, logitBias: new Map([[970, Number.NEGATIVE_INFINITY]]) }],
    ['against a bias for padding', { temperature: 1, logitBias: new Map([[5000, 50]]) }],
  ])('is sampled within the tokens alone, %s', async (_, options) => {
    const folder = place('padded')
    await writeModelFolder(folder, { config: { ...tinyAtlas, vocab_size: 8192 } })
    await withPolicy(folder, { threads: 1 }, async (policy) => {
      expect([policy.tokenizer.vocabSize, policy.config.vocabSize]).toEqual([2048, 8192])
      const sequence = policy.createSequence(prompt)
      const { tokens, logprobs: sampled } = await sequence.sample({ maxTokens: 100, seed: 7, ...options })
      sequence.release()
      expect(tokens).toHaveLength(100)
      expect(Math.max(...tokens)).toBeLessThan(2048)
      // The padding counts in the logprobs, as it does when the tokens are trained.
      const whole = Int32Array.from([...prompt, ...tokens])
      const temperature = options.temperature || 1
      const trained = await policy.logprobs(whole, Int32Array.from([0, whole.length]), { temperature })
      expectClose([...sampled], [...trained.logprobs.slice(prompt.length)], 1e-3)
    })
  })
})

describe('tokens that end a turn', () => {
  const endsOf = async (eos_token_id: unknown, generationConfig?: object, tokenizerEnd?: string) => {
    const folder = place('ends')
    rmSync(folder, { recursive: true, force: true })
    await writeModelFolder(folder, {
      config: { ...tinyAtlas, eos_token_id },
      ...(generationConfig && { generationConfig: generationConfig as Record<string, unknown> }),
    })
    const path = join(folder, 'tokenizer_config.json')
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    writeFileSync(path, JSON.stringify({ ...config, eos_token: tokenizerEnd }))
    return (await readPolicyFolder(folder)).template.endTokens
  }

  it('are taken from config.json where they stand there alone, and from both files', async () => {
    expect(await endsOf([2037, 2038])).toEqual([2037, 2038])
    expect(await endsOf(2037, { eos_token_id: [2039] })).toEqual([2039, 2037])
    expect(await endsOf(null, { eos_token_id: 2039 })).toEqual([2039])
    expect(await endsOf([2037], {})).toEqual([2037])
    expect(await endsOf(undefined)).toBeUndefined()
  })

  it('are no ordinary tokens that config.json has from a class, where another file knows better', async () => {
    expect(await endsOf(2, { eos_token_id: [2039] })).toEqual([2039])
    expect(await endsOf(2, undefined, '<|im_end|>')).toBeUndefined()
    expect(await endsOf(2)).toEqual([2])
  })
})

/** Adds four float32 zeros at the end of a safetensors file. */
function addTensor(path: string, name: string): void {
  const bytes = readFileSync(path)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, unknown>
  const data = bytes.subarray(start)
  header[name] = { dtype: 'F32', shape: [4], data_offsets: [data.length, data.length + 16] }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(path, Buffer.concat([length, text, data, Buffer.alloc(16)]))
}
