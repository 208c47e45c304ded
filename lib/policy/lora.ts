// LoRA's options, as a caller gives them and as PEFT's adapter_config.json has them.
import { existsSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { HdpoError } from '../core/errors.js'
import type { LoraOptions, LoraTargetModule } from '../native/types.js'
import { refusal } from './architectures.js'
import { readJson } from './policy-folder.js'

export const loraTargetModules: readonly LoraTargetModule[] = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
]

/** Only `rank` has to be given. */
export type LoraSettings = Pick<LoraOptions, 'rank'> & Partial<LoraOptions>

const adapterConfigName = 'adapter_config.json'
export const adapterWeightsName = 'adapter_model.safetensors'

/** alpha is 2 * rank by default, all seven projections are adapted, nothing is dropped. */
export function resolveLora(settings: LoraSettings): LoraOptions {
  const {
    rank,
    alpha = 2 * rank,
    dropout = 0,
    targetModules = [...loraTargetModules],
    rankStabilized = false,
    ...unknown
  } = settings
  const [extra] = Object.keys(unknown)
  if (extra !== undefined) throw new TypeError(`lora.${extra} is not an option`)
  if (!Number.isInteger(rank) || rank < 1 || rank > 1024) {
    throw new RangeError(`lora.rank must be a whole number from 1 to 1024, got ${inspect(rank)}`)
  }
  if (!(alpha > 0)) throw new RangeError(`lora.alpha must be a positive number, got ${inspect(alpha)}`)
  if (!(dropout >= 0 && dropout < 1)) {
    throw new RangeError(`lora.dropout must be in [0, 1), got ${inspect(dropout)}`)
  }
  const wrong = targetModules.find((name) => !loraTargetModules.includes(name))
  if (wrong !== undefined || targetModules.length === 0) {
    throw new RangeError(
      `lora.targetModules must be some of ${loraTargetModules.join(', ')}, got ${wrong ?? 'none'}`,
    )
  }
  // In the order of the layer, whatever the caller's.
  return {
    rank,
    alpha,
    dropout,
    rankStabilized,
    targetModules: loraTargetModules.filter((name) => targetModules.includes(name)),
  }
}

export interface AdapterFolder {
  path: string
  lora: LoraOptions
  /** Where the base is; undefined where it has to be given. */
  base: string | undefined
  baseName: string
}

/** Undefined where the folder holds no adapter. */
export async function readAdapterFolder(path: string): Promise<AdapterFolder | undefined> {
  const configPath = join(path, adapterConfigName)
  const json = await readJson(configPath)
  if (!json) return undefined
  if (existsSync(join(path, 'model.safetensors')) || existsSync(join(path, 'model.safetensors.index.json'))) {
    throw new HdpoError(
      'ERR_POLICY_FOLDER',
      `${path} holds both a model and an adapter (${adapterConfigName}); move one of them into a folder of its own`,
    )
  }
  const refuse = refusal(configPath)
  if (json.peft_type !== 'LORA')
    refuse(`"peft_type": ${JSON.stringify(json.peft_type)} is not supported; "LORA" is`)
  for (const [key, neutral] of Object.entries(neutralKeys)) {
    const value = json[key]
    if (value === undefined || value === null || neutral.includes(JSON.stringify(value))) continue
    refuse(`"${key}": ${JSON.stringify(value)} is not implemented`)
  }
  if (!existsSync(join(path, adapterWeightsName))) {
    throw new HdpoError('ERR_POLICY_FOLDER', `${path} has ${adapterConfigName}, but no ${adapterWeightsName}`)
  }
  const baseName = String(json.base_model_name_or_path ?? '')
  return { path, lora: loraOf(json, refuse), base: localFolder(baseName, path), baseName }
}

function loraOf(json: Record<string, unknown>, refuse: (message: string) => never): LoraOptions {
  const targets = json.target_modules
  const names = targets === 'all-linear' ? loraTargetModules : targets
  if (!Array.isArray(names)) {
    return refuse(
      `"target_modules": ${JSON.stringify(targets)} is not supported; a list of names or "all-linear" is`,
    )
  }
  try {
    return resolveLora({
      rank: json.r as number,
      alpha: (json.lora_alpha ?? 8) as number,
      dropout: (json.lora_dropout ?? 0) as number,
      rankStabilized: json.use_rslora === true,
      targetModules: names as LoraTargetModule[],
    })
  } catch (error) {
    return refuse((error as Error).message)
  }
}

/** What LoRA's variants set, each with the JSON of the values that change nothing. */
const neutralKeys: Record<string, readonly string[]> = {
  bias: ['"none"'],
  use_dora: ['false'],
  fan_in_fan_out: ['false'],
  modules_to_save: ['[]'],
  rank_pattern: ['{}'],
  alpha_pattern: ['{}'],
  layers_to_transform: ['[]'],
  layer_replication: ['[]'],
  exclude_modules: ['[]', '""'],
  megatron_config: [],
  trainable_token_indices: ['[]', '{}'],
  lora_bias: ['false'],
  target_parameters: ['[]'],
}

/** Relative to the adapter, or to where the process runs. */
function localFolder(name: string, adapterFolder: string): string | undefined {
  if (name === '') return undefined
  const candidates = isAbsolute(name) ? [name] : [resolve(adapterFolder, name), resolve(name)]
  return candidates.find((path) => existsSync(join(path, 'config.json')))
}

/** The folder of an adapter's base model: the one given, else where the adapter says. */
export function baseOf(adapter: AdapterFolder, options: { base?: string }): string {
  const base = options.base ?? adapter.base
  if (base !== undefined) return base
  throw new HdpoError(
    'ERR_POLICY_FOLDER',
    `${adapter.path} holds an adapter of ${JSON.stringify(adapter.baseName)}, which is no folder here; download the base model ` +
      'and name its folder with the option base',
  )
}

/** As PEFT writes it; it has null where a base has no name. */
export function formatAdapterConfig(lora: LoraOptions, base: string | undefined): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base ?? null,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: lora.dropout,
    use_rslora: lora.rankStabilized,
    target_modules: lora.targetModules,
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
}

export { adapterConfigName }
