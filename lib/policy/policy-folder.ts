// A Hugging Face model folder: what is in it, and errors about what is missing. Nothing here reads weights.

import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { readJsonObject } from '../core/json-file.js'
import type { ModelConfig } from '../native/types.js'
import type { Json } from './architectures.js'
import type { ChatTemplateSource } from './chat-template.js'
import { readModelConfig } from './model-config.js'
import { endTokenIds, readTemplateSource } from './template-files.js'
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer.js'

export const generationConfigName = 'generation_config.json'

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

/** Files that may hold a tokenizer, a template and its makers' sampling settings; llama.cpp converts tokenizer.model. */
export const copiedNames: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'chat_template.json',
  generationConfigName,
]
/** A folder of templates by name, one of which is "tool_use". */
export const namedTemplatesFolder = 'additional_chat_templates'

export async function readPolicyFolder(path: string): Promise<PolicyFolder> {
  await requireFolder(path)
  const { config, json } = await readModelConfig(path)
  const parts = await readTextParts(path)
  return { path, config, configJson: json, ...parts, weights: await findWeights(path) }
}

type TextParts = Pick<PolicyFolder, 'tokenizer' | 'template' | 'files'>

/** Tokenizer and template of a folder whose model is `source`: an adapter's own if it has a tokenizer, else those of its base. */
export async function textPartsOf(path: string, source: PolicyFolder): Promise<TextParts> {
  const hasOwn = path !== source.path && existsSync(join(path, 'tokenizer.json'))
  return hasOwn ? readTextParts(path, source.path) : source
}

/** PEFT writes no generation_config.json, which names the tokens that end a turn: an adapter takes that of `base`. */
async function readTextParts(path: string, base = path): Promise<TextParts> {
  if (!existsSync(join(path, 'tokenizer.json'))) {
    const slow = ['tokenizer.model', 'vocab.json'].filter((name) => existsSync(join(path, name)))
    throw new HdpoError(
      'ERR_POLICY_FOLDER',
      `${path} has no tokenizer.json${slow.length > 0 ? `, only ${slow.join(', ')}: save the tokenizer with use_fast=True in transformers` : ''}`,
    )
  }
  const tokenizer = readTokenizerFiles(path)
  const hasGenerationConfig = existsSync(join(path, generationConfigName))
  const generationConfigPath = join(hasGenerationConfig ? path : base, generationConfigName)
  const generationConfig = await readJson(generationConfigPath)
  const modelEndTokens = modelEnds(await readJson(join(base, 'config.json')), tokenizer, generationConfig)
  const tokenizerConfig = tokenizer.config ?? {}
  const template = readTemplateSource({ path, tokenizerConfig, generationConfig, modelEndTokens })
  const files = new Map<string, Buffer>()
  for (const name of copiedNames) {
    if (existsSync(join(path, name))) files.set(name, await readFile(join(path, name)))
  }
  if (generationConfig) files.set(generationConfigName, await readFile(generationConfigPath))
  for (const name of await namedTemplateFiles(path)) files.set(name, await readFile(join(path, name)))
  return { tokenizer, template, files }
}

/**
 * The end tokens in config.json, which some models have there alone. Where another file names an end too, one that is an ordinary
 * entry of the vocabulary is the default of the model's class, which transformers wrote down: it would end turns at any text.
 */
function modelEnds(
  config: Json | undefined,
  tokenizer: TokenizerFiles,
  generationConfig: Json | undefined,
): number[] {
  const ids = endTokenIds(config)
  const others = endTokenIds(generationConfig).length > 0 || tokenizer.config?.eos_token != null
  if (!others) return ids
  const added = (tokenizer.tokenizer.added_tokens ?? []) as { id: number }[]
  return ids.filter((id) => added.some((token) => token.id === id))
}

async function namedTemplateFiles(path: string): Promise<string[]> {
  const folder = join(path, namedTemplatesFolder)
  if (!existsSync(folder)) return []
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jinja'))
  return names.sort().map((name) => join(namedTemplatesFolder, name))
}

/** Looks for weights as transformers does: one file, or the shards that an index names. */
async function findWeights(folder: string): Promise<string[]> {
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
  return existsSync(path) ? readJsonObject(path, 'ERR_POLICY_FOLDER') : undefined
}
