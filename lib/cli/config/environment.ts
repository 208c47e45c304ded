// What a config trains on: tasks, tools and reward, from a built-in environment, from a module, or from files and tool names.
import { resolve } from 'node:path'
import type { z } from 'zod'
import { HdpoError } from '../../core/errors.js'
import { describeMistake } from '../../core/option-error.js'
import { nearest } from '../../core/option-expectation.js'
import { addSecretVariables } from '../../core/secrets.js'
import { exactMatch } from '../../rewards/rewards.js'
import { closeTasks } from '../../tasks/task-list.js'
import { calculator } from '../../tools/calculator.js'
import { javascriptTool } from '../../tools/javascript.js'
import { pythonTool } from '../../tools/python.js'
import { exportedTools, repeatedName, toolList } from '../../tools/tool-list.js'
import type { Tool } from '../../tools/types.js'
import { readConversations } from '../../traces/read-conversations.js'
import type { Environment } from '../../trainer/environment.js'
import type { Conversation } from '../../trainer/supervised-options.js'
import { builtInEnvironments, type EnvironmentContext } from './built-in-environments.js'
import { importDefault } from './config.js'
import type { trainSchema } from './config-schema.js'
import { type ConversationsConfig, isModulePath } from './data-schema.js'
import { resolveReward } from './reward.js'
import { resolveTasks } from './task-source.js'

type DataConfig = Pick<
  z.input<typeof trainSchema>,
  'environment' | 'environmentSettings' | 'tasks' | 'evaluationTasks' | 'tools' | 'reward' | 'secrets'
>

// Tools that run code start their interpreters only when a config asks for them.
const builtInTools: Record<string, () => Tool | Promise<Tool>> = {
  calculator: () => calculator,
  javascript: javascriptTool,
  python: pythonTool,
}

/**
 * The environment of a `train` or `eval` config: `environment`, or `tasks` with `tools`. Keys that are given besides
 * `environment` override its parts.
 */
export async function resolveEnvironment(
  config: DataConfig,
  context: EnvironmentContext,
): Promise<Environment> {
  if (config.environment === undefined && config.tasks === undefined) {
    throw new HdpoError('ERR_CONFIG', 'environment or tasks must be given: where the questions come from')
  }
  if (config.environmentSettings !== undefined && config.environment === undefined) {
    throw new HdpoError('ERR_CONFIG', 'environmentSettings needs environment: whose settings they are')
  }
  addSecretVariables(config.secrets ?? [])
  const { folder } = context
  const base =
    config.environment === undefined
      ? undefined
      : await loadEnvironment(config.environment, {
          ...context,
          ...(config.environmentSettings && { settings: config.environmentSettings }),
        })
  const tools = config.tools ? await resolveTools(config.tools, folder) : base?.tools
  const reward = await resolveReward(config.reward, folder)
  const own = config.tasks === undefined ? undefined : await resolveTasks(config.tasks, folder)
  const evaluation =
    config.evaluationTasks === undefined ? undefined : await resolveTasks(config.evaluationTasks, folder)
  // A reward that the config names also grades evaluations.
  const { evaluationReward: ownEvaluation, ...rest } = base ?? {}
  const evaluationReward = config.reward?.answer === undefined ? ownEvaluation : undefined
  const heldOutTasks = evaluation?.tasks ?? own?.heldOutTasks ?? base?.heldOutTasks
  return {
    ...rest,
    ...(evaluationReward && { evaluationReward }),
    tools: tools ?? [],
    tasks: own?.tasks ?? base?.tasks ?? [],
    ...(heldOutTasks && { heldOutTasks }),
    reward: { answer: exactMatch(), ...base?.reward, ...reward },
  }
}

/** Closes the tools and the tasks of an environment, with their temporary files. */
export async function closeEnvironment({ tools, tasks, heldOutTasks }: Environment): Promise<void> {
  await closeTools(tools)
  await closeTasks(tasks, heldOutTasks)
}

export async function closeTools(tools: readonly Tool[]): Promise<void> {
  await Promise.all(tools.map((tool) => tool.close?.()))
}

export async function loadEnvironment(name: string, context: EnvironmentContext): Promise<Environment> {
  const builtIn = Object.hasOwn(builtInEnvironments, name) ? builtInEnvironments[name] : undefined
  if (builtIn) return builtIn(context)
  const { seed, folder, settings = {} } = context
  if (!isModulePath(name)) {
    throw new HdpoError(
      'ERR_CONFIG',
      `environment must be ${Object.keys(builtInEnvironments).join(', ')} or the path of a .ts or .js module; got "${name}"`,
    )
  }
  const exported = await importDefault(resolve(folder, name))
  const environment = typeof exported === 'function' ? await exported({ seed, settings }) : exported
  return checkEnvironment(environment, name)
}

/** Tools by built-in name, from modules, or given as objects. */
export async function resolveTools(tools: readonly (string | Tool)[], folder: string): Promise<Tool[]> {
  const resolved: Tool[] = []
  for (const tool of tools) {
    if (typeof tool !== 'string') resolved.push(tool)
    else if (isModulePath(tool)) {
      const exported = await importDefault(resolve(folder, tool))
      resolved.push(...(await exportedTools(exported, `tools: the default export of ${tool}`)))
    } else resolved.push(await builtInTool(tool))
  }
  const repeated = repeatedName(resolved)
  if (repeated !== undefined) {
    throw new HdpoError('ERR_CONFIG', `tools: two are named "${repeated}"; give them different names`)
  }
  return resolved
}

/** Calls `warn` for imported conversations that cannot be trained on. */
export async function resolveConversations(
  conversations: ConversationsConfig | NonNullable<Environment['conversations']>,
  folder: string,
  warn: (message: string) => void,
): Promise<Conversation[]> {
  if (typeof conversations === 'function') return conversations()
  if (Array.isArray(conversations)) return conversations
  const { path, ...options } = typeof conversations === 'string' ? { path: conversations } : conversations
  const { conversations: read, skipped } = await readConversations(resolve(folder, path), options)
  if (skipped.length > 0) {
    const described = skipped.slice(0, 3).map(({ where, reason }) => `${where}: ${reason}`)
    const more = skipped.length > described.length ? '; ...' : ''
    warn(
      `${path}: ${skipped.length} of ${skipped.length + read.length} conversations were left out: ${described.join('; ')}${more}`,
    )
  }
  return read
}

function builtInTool(name: string): Tool | Promise<Tool> {
  const tool = Object.hasOwn(builtInTools, name) ? builtInTools[name] : undefined
  if (tool) return tool()
  const names = Object.keys(builtInTools)
  const near = nearest(name, names)
  const hint = near
    ? `did you mean ${near}?`
    : `built in: ${names.join(', ')}; others are paths of .ts or .js modules`
  throw new HdpoError('ERR_CONFIG', `tools: there is no tool "${name}"; ${hint}`)
}

function checkEnvironment(value: unknown, name: string): Environment {
  const environment = value as Partial<Environment> | null
  if (typeof environment !== 'object' || environment === null) {
    throw new HdpoError(
      'ERR_CONFIG',
      `environment ${name}: its default export must be an environment, got ${typeof value}`,
    )
  }
  const tools = toolList.safeParse(environment.tools)
  if (!tools.success) {
    const expected = tools.error.issues[0]?.message as string
    throw new HdpoError(
      'ERR_CONFIG',
      `environment ${name}: ${describeMistake({ option: 'tools', expected, given: environment.tools })}`,
    )
  }
  if (typeof environment.tasks?.at !== 'function' || typeof environment.tasks.length !== 'number')
    throw new HdpoError('ERR_CONFIG', `environment ${name}: tasks must be a list, or what openTasks returns`)
  if (typeof environment.reward?.answer !== 'function') {
    throw new HdpoError('ERR_CONFIG', `environment ${name}: reward.answer must be a function`)
  }
  return environment as Environment
}
