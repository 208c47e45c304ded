// Folders of adapters, as PEFT writes them: adapter_config.json and adapter_model.safetensors.
import { existsSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { HdpoError } from '../core/errors.js'
import type { LoraOptions, LoraTargetModule } from '../native/types.js'
import { refuseOtherAdapters } from './adapter-keys.js'
import { refusal } from './architectures.js'
import { loraTargetModules, resolveLora } from './lora-options.js'
import { readJson } from './policy-folder.js'

const adapterConfigName = 'adapter_config.json'
export const adapterWeightsName = 'adapter_model.safetensors'

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
  refuseOtherAdapters(json, refuse)
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

/** Looks for the folder relative to the adapter, then to the working directory. */
function localFolder(name: string, adapterFolder: string): string | undefined {
  if (name === '') return undefined
  const candidates = isAbsolute(name) ? [name] : [resolve(adapterFolder, name), resolve(name)]
  return candidates.find((path) => existsSync(join(path, 'config.json')))
}

/** The folder of an adapter's base model: the one given, else where the adapter says. */
export function baseOf(adapter: AdapterFolder, options: { base?: string | undefined }): string {
  const base = options.base ?? adapter.base
  if (base !== undefined) return base
  throw new HdpoError(
    'ERR_POLICY_FOLDER',
    `${adapter.path} holds an adapter of ${JSON.stringify(adapter.baseName)}, which is no folder here; download the base model ` +
      'and name its folder with the option base',
  )
}

/** adapter_config.json as PEFT writes it, with null for a base that has no name. */
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
