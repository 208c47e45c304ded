// What all rollouts of a task share, checked before any of them starts.
import { HdpoError } from '../errors.js'
import type { RolloutPolicy, ToolDescription } from '../policy/types.js'
import type { Tool } from '../tools/types.js'
import { type ResolvedRolloutOptions, type RolloutOptions, resolveRolloutOptions } from './options.js'
import { callMarker } from './tool-call-parser.js'
import type { Task } from './types.js'

export interface Setting {
  policy: RolloutPolicy
  task: Task
  tools: readonly Tool[]
  options: ResolvedRolloutOptions
  prompt: readonly number[]
  /** Longest sequence: the policy's, or prompt and maxTokens. */
  tokenLimit: number
  /** A token that is never sampled: with tool choice 'none' the one that begins a call. */
  bannedToken: number | undefined
  /** What the first turn begins with, which the policy did not choose: with tool choice 'required' the beginning of a call. */
  forced: { tokens: readonly number[]; text: string } | undefined
}

export function createSetting(
  policy: RolloutPolicy,
  task: Task,
  tools: readonly Tool[],
  rolloutOptions: RolloutOptions,
): Setting {
  const options = resolveRolloutOptions(rolloutOptions)
  checkToolNames(tools)
  if (options.toolChoice === 'required' && tools.length === 0) {
    throw new RangeError("tools: toolChoice 'required' needs at least one tool, got none")
  }
  const choice = applyToolChoice(policy, options.toolChoice)
  const prompt = policy.template.prompt(task.messages, choice.hidesTools ? [] : tools.map(toDescription))
  const { bannedToken, forced } = choice
  const tokenLimit = Math.min(
    policy.maxTokens,
    prompt.length + (options.maxTokens ?? Number.POSITIVE_INFINITY),
  )
  const needed = prompt.length + (forced?.tokens.length ?? 0) + 1
  if (needed > tokenLimit) {
    throw new RangeError(
      `task "${task.id}": its prompt of ${prompt.length} tokens leaves no room for a reply ` +
        `(sequences have at most ${policy.maxTokens} tokens, maxTokens is ${options.maxTokens ?? 'not set'})`,
    )
  }
  return { policy, task, tools, options, prompt, tokenLimit, bannedToken, forced }
}

function toDescription({ name, description, parameters }: Tool): ToolDescription {
  return { name, description, parameters }
}

interface AppliedToolChoice extends Pick<Setting, 'bannedToken' | 'forced'> {
  /** The prompt does not tell of the tools. */
  hidesTools: boolean
}

/**
 * Hermes calls begin with a token of their own, which can be banned or given. Llama 3's JSON calls begin like any text: with 'none'
 * the prompt is that of a conversation without tools.
 */
function applyToolChoice(
  policy: RolloutPolicy,
  toolChoice: ResolvedRolloutOptions['toolChoice'],
): AppliedToolChoice {
  const none = { bannedToken: undefined, forced: undefined, hidesTools: false }
  if (toolChoice === 'auto') return none
  const { toolFormat = 'hermes' } = policy.template
  const marker = callMarker(toolFormat)
  const token = policy.tokenizer.tokenId(marker)
  if (toolFormat === 'llama3-json') {
    if (toolChoice === 'none') return { ...none, bannedToken: token, hidesTools: true }
    const text = '{"name": "'
    return { ...none, forced: { tokens: policy.tokenizer.encode(text), text } }
  }
  if (token === undefined) {
    throw new HdpoError(
      'ERR_TOOL_CHOICE',
      `toolChoice '${toolChoice}' needs ${marker} to be one token of the policy's vocabulary`,
    )
  }
  return toolChoice === 'none'
    ? { ...none, bannedToken: token }
    : { ...none, forced: { tokens: [token], text: marker } }
}

function checkToolNames(tools: readonly Tool[]): void {
  const names = tools.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new RangeError(`tools: two are named "${twice}"`)
}
