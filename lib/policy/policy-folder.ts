// A Hugging Face model folder: what is in it, and where it does not suffice. Nothing here reads weights.
import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../errors.js'
import type { ModelConfig } from '../native.js'
import type { Json } from './architectures.js'
import type { ChatTemplateSource } from './chat-template.js'
import { readModelConfig } from './model-config.js'
import { readTemplateSource } from './template-files.js'
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer.js'

export interface PolicyFolder {
  path: string
  config: ModelConfig
  /** config.json with every key. */
  configJson: Json
  tokenizer: TokenizerFiles
  template: ChatTemplateSource
  /** Every safetensors file of the model. */
  weights: string[]
  /** Files that are written back as they are, by name. */
  files: Map<string, Buffer>
}

/** What a tokenizer, a template and its makers' sampling settings may be kept in; tokenizer.model is what llama.cpp converts. */
const copiedNames = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'chat_template.json',
  'generation_config.json',
]

export async function readPolicyFolder(path: string): Promise<PolicyFolder> {
  await requireFolder(path)
  const { config, json } = await readModelConfig(path)
  const parts = await readTextParts(path)
  return { path, config, configJson: json, ...parts, weights: await findWeights(path) }
}

/** Tokenizer and template, which a folder with an adapter alone has too. */
export async function readTextParts(
  path: string,
): Promise<Pick<PolicyFolder, 'tokenizer' | 'template' | 'files'>> {
  if (!existsSync(join(path, 'tokenizer.json'))) {
    const slow = ['tokenizer.model', 'vocab.json'].filter((name) => existsSync(join(path, name)))
    throw new HdpoError(
      'ERR_POLICY_FOLDER',
      `${path} has no tokenizer.json${slow.length > 0 ? `, only ${slow.join(', ')}: save the tokenizer with use_fast=True in transformers` : ''}`,
    )
  }
  const tokenizer = readTokenizerFiles(path)
  const generationConfig = await readJson(join(path, 'generation_config.json'))
  const template = readTemplateSource({ path, tokenizerConfig: tokenizer.config ?? {}, generationConfig })
  const files = new Map<string, Buffer>()
  for (const name of copiedNames) {
    if (existsSync(join(path, name))) files.set(name, await readFile(join(path, name)))
  }
  const toolTemplate = 'additional_chat_templates/tool_use.jinja'
  if (existsSync(join(path, toolTemplate))) files.set(toolTemplate, await readFile(join(path, toolTemplate)))
  return { tokenizer, template, files }
}

/** As transformers looks for them: one file, or the shards that an index names. */
export async function findWeights(folder: string): Promise<string[]> {
  const single = join(folder, 'model.safetensors')
  if (existsSync(single)) return [single]
  const indexPath = join(folder, 'model.safetensors.index.json')
  const index = await readJson(indexPath)
  if (!index) throw noWeights(folder, await readdir(folder))
  if (typeof index.weight_map !== 'object' || index.weight_map === null) {
    throw new HdpoError('ERR_POLICY_FOLDER', `${indexPath} has no "weight_map"`)
  }
  const names = [...new Set(Object.values(index.weight_map as Record<string, string>))].sort()
  const outside = names.find((name) => /[/\\]/.test(name))
  if (outside !== undefined) {
    throw new HdpoError('ERR_POLICY_FOLDER', `${indexPath} names a file outside its folder: ${outside}`)
  }
  const missing = names.filter((name) => !existsSync(join(folder, name)))
  if (missing.length > 0) {
    throw new HdpoError(
      'ERR_POLICY_FOLDER',
      `${folder} lacks ${missing.length} of the ${names.length} shards that its index names: ${missing.join(', ')}`,
    )
  }
  return names.map((name) => join(folder, name))
}

function noWeights(folder: string, names: readonly string[]): HdpoError {
  const others = names.filter((name) => /\.(bin|pt|pth|gguf|ckpt|msgpack|h5)$/.test(name))
  const advice =
    others.length > 0
      ? `; it has ${others.slice(0, 3).join(', ')}, which hdpo does not read: convert with transformers ` +
        '(from_pretrained, then save_pretrained with safe_serialization=True), or download the safetensors files'
      : ''
  return new HdpoError(
    'ERR_POLICY_FOLDER',
    `${folder} has no weights: neither model.safetensors nor model.safetensors.index.json${advice}`,
  )
}

async function requireFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return
  throw new HdpoError(
    'ERR_POLICY_FOLDER',
    found
      ? `${path} is a file; a policy is a folder with config.json, safetensors and tokenizer.json`
      : `there is no folder ${path}; models are not downloaded: fetch one first, e.g. with "hf download"`,
  )
}

/** Undefined where there is no such file. */
export async function readJson(path: string): Promise<Json | undefined> {
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Json
  } catch (error) {
    throw new HdpoError('ERR_POLICY_FOLDER', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
