// What a policy folder is, from its files alone: no weights are read, nothing native is loaded.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LoraOptions, ModelConfig } from '../native/types.js'
import { formatOf, type ToolFormat } from './calls/formats.js'
import { createChatTemplate } from './chat-template.js'
import { adapterWeightsName, baseOf, readAdapterFolder } from './lora.js'
import { countParameters } from './memory-estimate.js'
import { readPolicyFolder, textPartsOf } from './policy-folder.js'
import { readSafetensorsHeader } from './safetensors-header.js'
import { loadTokenizer } from './tokenizer.js'

export interface PolicyDescription {
  path: string
  architecture: string
  config: ModelConfig
  parameters: number
  /** Number of parameters by stored data type. */
  storedAs: Record<string, number>
  weightFiles: number
  weightBytes: number
  tokenizerTokens: number
  /** The texts of the tokens that end a turn. */
  endTokens: string[]
  toolFormat: ToolFormat
  /** Whether the template shows tools and writes calls in a format that can be read. */
  writesCalls: boolean
  readsTools: boolean
  /** Whether the template has a switch for thinking. */
  thinkingSwitch: boolean
  adapter?: LoraOptions & { base: string; bytes: number }
}

/** Refuses what Policy.load would refuse before it reads weights. */
export async function describePolicyFolder(
  path: string,
  options: { base?: string } = {},
): Promise<PolicyDescription> {
  const adapter = await readAdapterFolder(path)
  const source = await readPolicyFolder(adapter ? baseOf(adapter, options) : path)
  const text = await textPartsOf(path, source)
  const tokenizer = loadTokenizer(text.tokenizer)
  const chat = createChatTemplate(text.template, tokenizer)
  const counts = countParameters(source.config)
  const { template, toolTemplate = template } = text.template
  return {
    path,
    architecture: String(source.configJson.model_type),
    config: source.config,
    parameters: counts.matrices + counts.vectors,
    ...(await describeWeights(source.weights)),
    tokenizerTokens: tokenizer.vocabSize,
    endTokens: (chat.endTokens ?? [chat.endOfTurn]).map((token) => tokenizer.decode([token])),
    toolFormat: formatOf(chat).name,
    writesCalls: chat.writesCalls ?? false,
    readsTools: /\btools\b/.test(toolTemplate),
    thinkingSwitch: /\benable_thinking\b/.test(template),
    ...(adapter && {
      adapter: {
        ...adapter.lora,
        base: source.path,
        bytes: (await stat(join(path, adapterWeightsName))).size,
      },
    }),
  }
}

async function describeWeights(
  paths: readonly string[],
): Promise<Pick<PolicyDescription, 'storedAs' | 'weightFiles' | 'weightBytes'>> {
  const storedAs: Record<string, number> = {}
  let weightBytes = 0
  for (const path of paths) {
    weightBytes += (await stat(path)).size
    for (const { dtype, shape } of (await readSafetensorsHeader(path)).values()) {
      storedAs[dtype] = (storedAs[dtype] ?? 0) + shape.reduce((product, size) => product * size, 1)
    }
  }
  return { storedAs, weightFiles: paths.length, weightBytes }
}
