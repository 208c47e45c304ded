// What a job of a comparison works with: the task in one setting, and whom to tell how far it is.
import type { ModelConfig } from '../native.js'
import type { ChatTemplateSource } from '../policy/chat-template.js'
import type { TokenizerFiles } from '../policy/tokenizer.js'
import type { RewardOptions } from '../rewards/rewards.js'
import type { TaskList } from '../tasks/task-list.js'
import type { Tool } from '../tools/types.js'
import type { Conversation } from '../trainer/supervised-trainer.js'
import type { Grid } from './grid.js'

export interface ComparisonEnvironment {
  tools: Tool[]
  tasks: TaskList
  heldOutTasks?: TaskList
  reward: RewardOptions
  evaluationReward?: RewardOptions
  /** These are needed where the grid has a cold start. */
  conversations?: Conversation[] | (() => Promise<Conversation[]>)
  tokenizer?: TokenizerFiles
  template?: ChatTemplateSource
  model?: ModelConfig
}

export interface JobContext {
  grid: Grid
  environment: ComparisonEnvironment
  /** Of the whole comparison. */
  output: string
  signal: AbortSignal
  /** Share of the job that is done, 0 to 1. */
  progress: (share: number) => void
  warn: (message: string) => void
}

/** Thrown by a job that the signal ended, so that it leaves no result; what it did is saved. */
export class JobStopped extends Error {
  override readonly name = 'JobStopped'
}
