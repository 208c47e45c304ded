// What a policy writes into a folder besides weights: config.json, tokenizer, template, generation settings, model card.
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { count, instance } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'
import { type LoraOptions, type ModelConfig, type Precision, precisions } from '../native/types.js'
import type { Json } from './architectures.js'
import { type ChatTemplateSource, endTokensOf } from './chat-template.js'
import { generationConfigOf, oneOrMore } from './generation-config.js'
import { adapterConfigName, adapterWeightsName, formatAdapterConfig } from './lora.js'
import { formatModelCard, isModelCard, type TrainingRecord } from './model-card.js'
import { formatModelConfig } from './model-config.js'
import { copiedNames, generationConfigName, namedTemplatesFolder } from './policy-folder.js'
import { formatJson } from './python-json.js'
import type { TokenizerFiles } from './tokenizer.js'
import type { ChatTemplate, Tokenizer } from './types.js'

export const saveShape = {
  /** How the weights are written. Default: as the policy holds them. */
  dtype: z.enum(precisions).optional(),
  /** How the policy was trained, for the model card. */
  training: instance<TrainingRecord>('a record of the training').optional(),
  /** Weights that take more bytes are split into numbered files with an index. Default 5 GB, as transformers does it. */
  maxShardBytes: count.default(5e9),
}
export const saveOptions = z.strictObject(saveShape)
export interface SaveOptions extends OptionsOf<typeof saveShape> {}

export const adapterSaveShape = { training: saveShape.training }
export const adapterSaveOptions = z.strictObject(adapterSaveShape)
export interface AdapterSaveOptions extends OptionsOf<typeof adapterSaveShape> {}

export interface PolicyParts {
  config: ModelConfig
  /** config.json of the folder that the policy was loaded from. */
  configJson?: Json
  tokenizer: Tokenizer
  tokenizerFiles: TokenizerFiles
  template: ChatTemplateSource
  chat: ChatTemplate
  /** Tokenizer and template files of that folder. */
  files?: ReadonlyMap<string, Buffer>
  /** That folder; for an adapter, the folder of its base. */
  base?: string
  /** The files of weights in it. */
  weights?: readonly string[]
  /** The seed that random weights were drawn from, where there is no such folder. */
  seed?: number
  lora?: LoraOptions
  parameters: number
}

const modelCardName = 'README.md'

const policyFiles = new Set([
  'config.json',
  adapterConfigName,
  adapterWeightsName,
  namedTemplatesFolder,
  ...copiedNames,
])

/**
 * Files of an older policy that must not stay in a newly saved folder: weights (llama.cpp's converter reads every
 * model*.safetensors, vLLM a consolidated.safetensors too), and a tokenizer or template that readers would prefer to the new one
 * (transformers prefers chat_template.jinja to tokenizer_config.json's, llama.cpp tokenizer.model to tokenizer.json). A README.md that
 * hdpo did not write is somebody's own, and stays in place of a model card.
 */
export function isPolicyFile(name: string, path: string): boolean {
  if (name === modelCardName)
    return (
      statSync(path, { throwIfNoEntry: false })?.isFile() === true && isModelCard(readFileSync(path, 'utf8'))
    )
  const isWeights =
    /^(model|consolidated)\b.*\.safetensors$|^(model|consolidated|pytorch_model)\b.*\.index\.json$/.test(name)
  return isWeights || policyFiles.has(name)
}

/** Saving replaces what is in a folder: here the base, without which the adapter is worth nothing. */
export function refuseBaseFolder(folder: string, { base }: PolicyParts): void {
  const real = (path: string) => (existsSync(path) ? realpathSync(path) : resolve(path))
  if (base === undefined || real(folder) !== real(base)) return
  throw new HdpoError(
    'ERR_POLICY_FOLDER',
    `${folder} holds the base model of the adapter; save the adapter into another folder`,
  )
}

export async function writeModelFiles(folder: string, parts: PolicyParts, dtype: Precision): Promise<void> {
  const { config, configJson } = parts
  const json = formatModelConfig(config, dtype, configJson)
  await jsonText(join(folder, 'config.json'), { ...json, ...(!configJson && textTokens(parts)) })
  await writeTextFiles(folder, parts)
}

/** Token ids for a new config.json: where these keys are absent, transformers takes those of other models (Llama 1 and 2). */
function textTokens({ template, chat, tokenizer }: PolicyParts): Json {
  const begin = template.beginOfText === undefined ? undefined : tokenizer.tokenId(template.beginOfText)
  return { bos_token_id: begin ?? null, eos_token_id: oneOrMore(endTokensOf(chat)) }
}

export async function writeAdapterConfig(
  folder: string,
  parts: PolicyParts & { lora: LoraOptions },
): Promise<void> {
  await jsonText(join(folder, adapterConfigName), formatAdapterConfig(parts.lora, parts.base))
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
  return writeFile(join(folder, modelCardName), card)
}

/** A loaded policy's files stay byte for byte as they were; those of a policy made from parts are named as in transformers. */
async function writeTextFiles(
  folder: string,
  { tokenizer, tokenizerFiles, template, chat, files }: PolicyParts,
): Promise<void> {
  for (const [name, content] of files ?? []) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  if (!files) {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerFiles.tokenizer))
    await jsonText(join(folder, 'tokenizer_config.json'), {
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
      ...tokenizerFiles.config,
      chat_template: templatesOf(template),
      eos_token: tokenizer.decode([chat.endOfTurn]),
      ...(template.beginOfText !== undefined && { bos_token: template.beginOfText }),
    })
  }
  const generationConfig = generationConfigOf(files?.get(generationConfigName), chat)
  await writeFile(join(folder, generationConfigName), generationConfig)
}

/** In the one form that every version of transformers and llama.cpp's converter read. */
function templatesOf({ template, toolTemplate }: ChatTemplateSource): string | Json[] {
  if (toolTemplate === undefined) return template
  return [
    { name: 'default', template },
    { name: 'tool_use', template: toolTemplate },
  ]
}

function jsonText(path: string, value: unknown): Promise<void> {
  return writeFile(path, formatJson(value))
}
