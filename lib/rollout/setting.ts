// What all rollouts of a task share, checked before any of them starts.
import { HdpoError } from '../core/errors.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { formatOf } from '../policy/calls/formats.js'
import { endsInThought } from '../policy/calls/thoughts.js'
import type { RolloutPolicy, ToolDescription } from '../policy/types.js'
import type { Tool } from '../tools/types.js'
import { type ResolvedRolloutOptions, type RolloutOptions, resolveRolloutOptions } from './options.js'
import type { Task } from './types.js'

export interface Setting {
  policy: RolloutPolicy
  task: Task
  tools: readonly Tool[]
  options: ResolvedRolloutOptions
  prompt: readonly number[]
  /** Control tokens that the task's messages and the tools spell out; text in the prompt. */
  controlTokensInText: number
  /** Longest sequence: the policy's limit, or the prompt plus maxTokens. */
  tokenLimit: number
  /** A token that is never sampled: the one that begins a call, with tool choice 'none'. */
  bannedToken: number | undefined
  /** What the first turn is forced to begin with: the beginning of a call, with tool choice 'required'. */
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
    throw new InvalidOptionError('tools', "a list of at least one tool with toolChoice 'required'", tools)
  }
  const shown = hidesTools(policy, options) ? [] : tools.map(toDescription)
  const prompt = policy.template.prompt(task.messages, shown)
  const controlTokensInText = policy.template.controlTokensInText?.(task.messages, shown) ?? 0
  const { bannedToken, forced } = applyToolChoice(policy, options, prompt)
  const tokenLimit = Math.min(
    policy.maxTokens,
    prompt.length + (options.maxTokens ?? Number.POSITIVE_INFINITY),
  )
  const needed = prompt.length + (forced?.tokens.length ?? 0) + 1
  if (needed > tokenLimit) {
    throw new InvalidOptionError(
      `task "${task.id}"`,
      `short enough to leave room for a reply (sequences have at most ${policy.maxTokens} tokens, maxTokens is ` +
        `${options.maxTokens ?? 'not set'})`,
      new Described(`a prompt of ${prompt.length} tokens`),
    )
  }
  return { policy, task, tools, options, prompt, controlTokensInText, tokenLimit, bannedToken, forced }
}

function toDescription({ name, description, parameters }: Tool): ToolDescription {
  return { name, description, parameters }
}

/**
 * Calls that begin with a token of their own are turned off by banning it. Llama 3's JSON calls begin like any text, so with 'none'
 * the tools are left out of the prompt.
 */
function hidesTools({ template }: RolloutPolicy, { toolChoice }: ResolvedRolloutOptions): boolean {
  return toolChoice === 'none' && !formatOf(template).beginsAll
}

function applyToolChoice(
  { template, tokenizer }: RolloutPolicy,
  { toolChoice }: ResolvedRolloutOptions,
  prompt: readonly number[],
): Pick<Setting, 'bannedToken' | 'forced'> {
  if (toolChoice === 'auto') return { bannedToken: undefined, forced: undefined }
  const { opening, beginsAll, forced } = formatOf(template)
  const token = tokenizer.tokenId(opening)
  if (beginsAll && token === undefined) {
    throw new HdpoError(
      'ERR_TOOL_CHOICE',
      `toolChoice '${toolChoice}' needs ${opening} to be one token of the policy's vocabulary`,
    )
  }
  if (toolChoice === 'none') return { bannedToken: token, forced: undefined }
  const text = forced(endsInThought(tokenizer, prompt))
  return { bannedToken: undefined, forced: { tokens: tokenizer.encode(text), text } }
}

function checkToolNames(tools: readonly Tool[]): void {
  const names = tools.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new InvalidOptionError('tools', 'of different names', names)
}
