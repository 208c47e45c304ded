// What a config trains on: tasks, tools and reward, from a built-in environment, a module, or JSONL and tool
// names.
import { readFile } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { HdpoError } from '../errors.js'
import type { ChatTemplateSource } from '../policy/chat-template.js'
import type { TokenizerFiles } from '../policy/tokenizer.js'
import type { Message } from '../policy/types.js'
import { exactMatch, numericMatch, type RewardOptions } from '../rewards/rewards.js'
import type { Task } from '../rollout/types.js'
import { createAtlas } from '../tasks/atlas/atlas.js'
import { jsonl } from '../tasks/jsonl.js'
import { calculator } from '../tools/calculator.js'
import type { Tool } from '../tools/types.js'
import type { Conversation } from '../trainer/supervised-trainer.js'
import { importDefault, nearest } from './config.js'
import type { SftConfig, TrainConfig } from './config-schema.js'

/** One file can be an environment: its default export is this, or a function of { seed } that returns it. */
export interface Environment {
  tools: Tool[]
  tasks: Task[]
  /** Never trained on. */
  heldOutTasks?: Task[]
  reward: RewardOptions
  /** For a cold start. */
  conversations?: Conversation[] | (() => Promise<Conversation[]>)
  /** For a fresh model. */
  tokenizer?: TokenizerFiles
  template?: ChatTemplateSource
}

export interface EnvironmentContext {
  seed: number
  /** Relative paths start here. */
  folder: string
}

type DataConfig = Pick<TrainConfig, 'environment' | 'tasks' | 'evaluationTasks' | 'tools' | 'reward'>

const builtInTools: Record<string, Tool> = { calculator }
const matchers = { 'exact-match': exactMatch, 'numeric-match': numericMatch }

/**
 * The environment of a `train` or `eval` config: `environment`, or `tasks` with `tools`; single keys override
 * an environment's.
 */
export async function resolveEnvironment(
  config: DataConfig,
  context: EnvironmentContext,
): Promise<Environment> {
  if (config.environment === undefined && config.tasks === undefined) {
    throw new HdpoError('ERR_CONFIG', 'environment or tasks must be given: where the questions come from')
  }
  const base =
    config.environment === undefined ? undefined : await loadEnvironment(config.environment, context)
  const tools = config.tools ? await resolveTools(config.tools, context.folder) : base?.tools
  const heldOutTasks = config.evaluationTasks
    ? resolveTasks(config.evaluationTasks, context.folder)
    : base?.heldOutTasks
  return {
    ...base,
    tools: tools ?? [],
    tasks: config.tasks ? resolveTasks(config.tasks, context.folder) : (base?.tasks ?? []),
    ...(heldOutTasks && { heldOutTasks }),
    reward: { answer: exactMatch(), ...base?.reward, ...resolveReward(config.reward) },
  }
}

export async function loadEnvironment(
  name: string,
  { seed, folder }: EnvironmentContext,
): Promise<Environment> {
  if (name === 'atlas') return atlasEnvironment(seed)
  if (!isModulePath(name)) {
    throw new HdpoError(
      'ERR_CONFIG',
      `environment must be atlas or the path of a .ts or .js module; got "${name}"`,
    )
  }
  const exported = await importDefault(resolve(folder, name))
  const environment = typeof exported === 'function' ? await exported({ seed }) : exported
  return checkEnvironment(environment, name)
}

/** Tools by built-in name, from modules (one tool or a list), or as they are. */
export async function resolveTools(tools: readonly (string | Tool)[], folder: string): Promise<Tool[]> {
  const resolved: Tool[] = []
  for (const tool of tools) {
    if (typeof tool !== 'string') resolved.push(tool)
    else if (isModulePath(tool))
      resolved.push(...[(await importDefault(resolve(folder, tool))) as Tool | Tool[]].flat())
    else resolved.push(builtInTool(tool))
  }
  return resolved
}

export async function resolveConversations(
  conversations: NonNullable<SftConfig['conversations'] | Environment['conversations']>,
  folder: string,
): Promise<Conversation[]> {
  if (typeof conversations === 'function') return conversations()
  if (typeof conversations !== 'string') return conversations
  const path = resolve(folder, conversations)
  return (await readJsonLines(path)).map(({ value, where }) => {
    if (!Array.isArray(value.messages)) throw new HdpoError('ERR_DATA', `${where}: messages must be a list`)
    return { messages: value.messages as Message[] }
  })
}

export function atlasEnvironment(seed: number): Environment {
  const atlas = createAtlas({ seed })
  return {
    tools: atlas.tools,
    tasks: atlas.trainTasks,
    heldOutTasks: atlas.heldOutTasks,
    reward: { answer: ({ finalAnswer }, task) => atlas.isRightAnswer(finalAnswer, task) },
    conversations: () => atlas.coldStart(),
    tokenizer: atlas.tokenizer,
    template: atlas.template,
  }
}

function builtInTool(name: string): Tool {
  const tool = builtInTools[name]
  if (tool) return tool
  const names = Object.keys(builtInTools)
  const near = nearest(name, names)
  const hint = near
    ? `did you mean ${near}?`
    : `built in: ${names.join(', ')}; others are paths of .ts or .js modules`
  throw new HdpoError('ERR_CONFIG', `tools: there is no tool "${name}"; ${hint}`)
}

function resolveReward(reward: TrainConfig['reward']): Partial<RewardOptions> {
  if (!reward) return {}
  const { answer, ...weights } = reward
  return { ...weights, ...(answer && { answer: matchers[answer]() }) }
}

function resolveTasks(tasks: string | Task[], folder: string): Task[] {
  return typeof tasks === 'string' ? jsonl(resolve(folder, tasks)) : tasks
}

async function readJsonLines(path: string): Promise<{ value: Record<string, unknown>; where: string }[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new HdpoError('ERR_DATA', `cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
  return text
    .split('\n')
    .map((line, index) => ({ line, where: `${path}:${index + 1}` }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, where }) => ({ value: parseLine(line, where), where }))
}

function parseLine(line: string, where: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new HdpoError('ERR_DATA', `${where}: ${(error as Error).message}`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HdpoError('ERR_DATA', `${where}: must be an object, got ${line.slice(0, 60)}`)
  }
  return value as Record<string, unknown>
}

function checkEnvironment(value: unknown, name: string): Environment {
  const environment = value as Partial<Environment> | null
  if (typeof environment !== 'object' || environment === null) {
    throw new HdpoError(
      'ERR_CONFIG',
      `environment ${name}: its default export must be an environment, got ${typeof value}`,
    )
  }
  for (const key of ['tools', 'tasks'] as const) {
    if (!Array.isArray(environment[key]))
      throw new HdpoError('ERR_CONFIG', `environment ${name}: ${key} must be a list`)
  }
  if (typeof environment.reward?.answer !== 'function') {
    throw new HdpoError('ERR_CONFIG', `environment ${name}: reward.answer must be a function`)
  }
  return environment as Environment
}

function isModulePath(name: string): boolean {
  return ['.ts', '.mts', '.js', '.mjs'].includes(extname(name))
}
