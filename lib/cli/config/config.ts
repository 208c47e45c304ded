// Reads a config file, YAML or TypeScript / JavaScript (default export), and reports what is wrong with it by key.

import { register as registerHooks } from 'node:module'
import { dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { register as registerTypeScript } from 'tsx/esm/api'
import type { z } from 'zod'
import { HdpoError } from '../../core/errors.js'
import { isRecord } from '../../core/is-record.js'
import { describeMistake } from '../../core/option-error.js'
import { findMistakes } from '../../core/options.js'
import { reasonOf } from '../../core/system-error.js'
import { readText } from '../../core/text-file.js'
import { isModulePath, moduleExtensions } from './data-schema.js'
import { readYaml } from './read-yaml.js'

const yamlExtensions = ['.yaml', '.yml', '.json']

interface LoadedConfig<Config> {
  config: Config
  /** Paths inside the config are relative to this. */
  folder: string
}

/** Throws ERR_CONFIG with one line per mistake. */
export async function loadConfig<Schema extends z.ZodObject>(
  path: string,
  schema: Schema,
): Promise<LoadedConfig<z.input<Schema>>> {
  const value = await readConfigFile(path)
  return { config: checkConfig(value, schema, path), folder: dirname(resolve(path)) }
}

/** Checks a config and returns it as it was given, without defaults; `where` names its source in messages. */
export function checkConfig<Schema extends z.ZodObject>(
  value: unknown,
  schema: Schema,
  where: string,
): z.input<Schema> {
  if (!isRecord(value)) {
    const given = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY }).slice(0, 80)
    throw new HdpoError('ERR_CONFIG', `${where}: must hold a mapping of keys to values, got ${given}`)
  }
  const mistakes = findMistakes(schema, value)
  if (mistakes.length === 0) return value as z.input<Schema>
  const lines = mistakes.map((mistake) => `${where}: ${describeMistake(mistake)}`)
  throw new HdpoError('ERR_CONFIG', lines.join('\n'))
}

async function readConfigFile(path: string): Promise<unknown> {
  const extension = extname(path)
  if (isModulePath(path)) return importDefault(path)
  if (!yamlExtensions.includes(extension)) {
    const allowed = [...yamlExtensions, ...moduleExtensions].join(', ')
    throw new HdpoError('ERR_CONFIG', `${path}: a config file ends in one of ${allowed}; got "${extension}"`)
  }
  return readYaml(await readText(path, 'ERR_CONFIG'), path)
}

/** The default export of a module, TypeScript included. The module runs in this process: when it imports hdpo, it gets this copy. */
export async function importDefault(path: string): Promise<unknown> {
  const unregister = registerTypeScript()
  registerEsmHooks()
  let module: { default?: unknown }
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown }
  } catch (error) {
    throw new HdpoError('ERR_CONFIG', `${path}: ${reasonOf(error)}`, { cause: error })
  } finally {
    await unregister()
  }
  const exported = unwrapCommonJs(module.default)
  if (exported === undefined) throw new HdpoError('ERR_CONFIG', `${path}: has no default export`)
  return exported
}

/**
 * Without "type": "module", `export default` is compiled to exports.default, and the default of an import is the whole exports
 * object.
 */
function unwrapCommonJs(exported: unknown): unknown {
  const isCompiled = typeof exported === 'object' && exported !== null && '__esModule' in exported
  return isCompiled ? (exported as { default?: unknown }).default : exported
}

let hooked = false

/** Once for the process: hooks stay. Those of tsx that come later pass their loads on to these. */
function registerEsmHooks(): void {
  if (!hooked) registerHooks('./esm-hooks.mjs', import.meta.url)
  hooked = true
}
