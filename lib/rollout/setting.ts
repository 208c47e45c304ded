// What all rollouts of a task share, checked before any of them starts.
import { HdpoError } from '../errors.js'
import type { RolloutPolicy, ToolDescription } from '../policy/types.js'
import type { Tool } from '../tools/types.js'
import { type ResolvedRolloutOptions, type RolloutOptions, resolveRolloutOptions } from './options.js'
import { callTag } from './tool-call-parser.js'
import type { Task } from './types.js'

export interface Setting {
  policy: RolloutPolicy
  task: Task
  tools: readonly Tool[]
  options: ResolvedRolloutOptions
  prompt: readonly number[]
  /** Longest sequence: the policy's, or prompt and maxTokens. */
  tokenLimit: number
  /** The id of <tool_call>, where the tool choice needs it. */
  callToken: number | undefined
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
  const prompt = policy.template.prompt(task.messages, tools.map(toDescription))
  const callToken = options.toolChoice === 'auto' ? undefined : requireCallToken(policy, options.toolChoice)
  const tokenLimit = Math.min(
    policy.maxTokens,
    prompt.length + (options.maxTokens ?? Number.POSITIVE_INFINITY),
  )
  const needed = prompt.length + (options.toolChoice === 'required' ? 2 : 1)
  if (needed > tokenLimit) {
    throw new RangeError(
      `task "${task.id}": its prompt of ${prompt.length} tokens leaves no room for a reply ` +
        `(sequences have at most ${policy.maxTokens} tokens, maxTokens is ${options.maxTokens ?? 'not set'})`,
    )
  }
  return { policy, task, tools, options, prompt, tokenLimit, callToken }
}

function toDescription({ name, description, parameters }: Tool): ToolDescription {
  return { name, description, parameters }
}

function requireCallToken(policy: RolloutPolicy, toolChoice: string): number {
  const token = policy.tokenizer.tokenId(callTag)
  if (token !== undefined) return token
  throw new HdpoError(
    'ERR_TOOL_CHOICE',
    `toolChoice '${toolChoice}' needs ${callTag} to be one token of the policy's vocabulary`,
  )
}

function checkToolNames(tools: readonly Tool[]): void {
  const names = tools.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new RangeError(`tools: two are named "${twice}"`)
}
