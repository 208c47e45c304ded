// Everything a policy is trained on, in one value: tasks, tools and reward, and what a fresh policy starts from.
import type { ModelConfig } from '../native/types.js'
import type { ChatTemplateSource } from '../policy/chat-template.js'
import type { TokenizerFiles } from '../policy/tokenizer.js'
import type { RewardOptions } from '../rewards/rewards.js'
import type { TaskList } from '../tasks/task-list.js'
import type { Tool } from '../tools/types.js'
import type { Conversation } from './supervised-options.js'

/** A module can be an environment: its default export is this, or a function of { seed, settings } that returns it. */
export interface Environment {
  tools: Tool[]
  /** An array of tasks, or what openTasks returns. */
  tasks: TaskList
  /** Tasks that are never trained on. */
  heldOutTasks?: TaskList
  reward: RewardOptions
  /** Grades evaluations. Default: `reward`. */
  evaluationReward?: RewardOptions
  /** Conversations for a cold start. */
  conversations?: Conversation[] | (() => Promise<Conversation[]>)
  /** The tokenizer of a fresh model. */
  tokenizer?: TokenizerFiles
  template?: ChatTemplateSource
  /** Sizes of a fresh model, for `hdpo compare`; `hdpo sft` takes them from the config. */
  model?: ModelConfig
}
