// What a policy writes into a folder besides weights: config.json, tokenizer, template, generation settings, model card.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { LoraOptions, ModelConfig, Precision } from '../native.js'
import type { Json } from './architectures.js'
import { type ChatTemplateSource, endTokensOf } from './chat-template.js'
import { adapterConfigName, adapterWeightsName, formatAdapterConfig } from './lora.js'
import { formatModelCard, type TrainingRecord } from './model-card.js'
import { formatModelConfig } from './model-config.js'
import type { TokenizerFiles } from './tokenizer.js'
import type { ChatTemplate } from './types.js'

export interface SaveOptions {
  /** Of the weights. Default: as the policy holds them. */
  dtype?: Precision
  /** For the model card. */
  training?: TrainingRecord
  /** Weights beyond this are split into numbered files and an index. Default 5 GB, as transformers does it. */
  maxShardBytes?: number
}

export interface PolicyParts {
  config: ModelConfig
  /** config.json of the folder that the policy was loaded from. */
  configJson?: Json
  tokenizer: TokenizerFiles
  template: ChatTemplateSource
  chat: ChatTemplate
  /** Tokenizer and template files of that folder. */
  files?: ReadonlyMap<string, Buffer>
  /** That folder; of an adapter its base. */
  base?: string
  lora?: LoraOptions
  parameters: number
}

export const defaultShardBytes = 5e9

/** Old weights, adapters and indices: what a newly saved folder must not have beside its own. */
export function isWeightsFile(name: string): boolean {
  return (
    /^model(-\d{5}-of-\d{5})?\.safetensors$|\.index\.json$/.test(name) ||
    name === adapterWeightsName ||
    name === adapterConfigName
  )
}

export async function writeModelFiles(folder: string, parts: PolicyParts, dtype: Precision): Promise<void> {
  await writeJson(join(folder, 'config.json'), formatModelConfig(parts.config, dtype, parts.configJson))
  await writeTextFiles(folder, parts)
}

export async function writeAdapterConfig(
  folder: string,
  parts: PolicyParts & { lora: LoraOptions },
): Promise<void> {
  await writeJson(join(folder, adapterConfigName), formatAdapterConfig(parts.lora, parts.base ?? ''))
  await writeTextFiles(folder, parts)
}

export function writeModelCard(
  folder: string,
  parts: PolicyParts,
  facts: { dtype: Precision; adapterOnly: boolean; training?: TrainingRecord },
): Promise<void> {
  const card = formatModelCard({
    ...facts,
    modelType: String(formatModelConfig(parts.config, facts.dtype, parts.configJson).model_type),
    parameters: parts.parameters,
    toolFormat: parts.chat.toolFormat ?? 'hermes',
    ...(parts.base !== undefined && { base: parts.base }),
    ...(parts.lora && { lora: parts.lora }),
  })
  return writeFile(join(folder, 'README.md'), card)
}

/** As they were, byte for byte, where the policy was loaded; of a policy made from parts, as transformers would name them. */
async function writeTextFiles(
  folder: string,
  { tokenizer, template, chat, files }: PolicyParts,
): Promise<void> {
  for (const [name, content] of files ?? []) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  if (!files) {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer.tokenizer))
    await writeJson(join(folder, 'tokenizer_config.json'), {
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
      ...tokenizer.config,
      chat_template: template.template,
      eos_token: template.endOfTurn ?? template.endOfText,
      ...(template.beginOfText !== undefined && { bos_token: template.beginOfText }),
    })
  }
  if (!files?.has('generation_config.json')) {
    const endTokens = endTokensOf(chat)
    await writeJson(join(folder, 'generation_config.json'), {
      do_sample: true,
      eos_token_id: endTokens.length === 1 ? endTokens[0] : endTokens,
    })
  }
}

function writeJson(path: string, value: unknown): Promise<void> {
  return writeFile(path, `${JSON.stringify(value, null, 2)}\n`)
}
