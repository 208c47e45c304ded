// What is trained on, as one value: tasks, tools and reward, and what a fresh policy starts from.
import type { ModelConfig } from '../native/types.js'
import type { ChatTemplateSource } from '../policy/chat-template.js'
import type { TokenizerFiles } from '../policy/tokenizer.js'
import type { RewardOptions } from '../rewards/rewards.js'
import type { TaskList } from '../tasks/task-list.js'
import type { Tool } from '../tools/types.js'
import type { Conversation } from './supervised-options.js'

/** One file can be an environment: its default export is this, or a function of { seed, settings } that returns it. */
export interface Environment {
  tools: Tool[]
  /** An array of tasks, or what openTasks returns. */
  tasks: TaskList
  /** Never trained on. */
  heldOutTasks?: TaskList
  reward: RewardOptions
  /** Grades evaluations. Default: `reward`. */
  evaluationReward?: RewardOptions
  /** For a cold start. */
  conversations?: Conversation[] | (() => Promise<Conversation[]>)
  /** For a fresh model. */
  tokenizer?: TokenizerFiles
  template?: ChatTemplateSource
  /** Its sizes, for `hdpo compare`; `hdpo sft` takes them from the config. */
  model?: ModelConfig
}
