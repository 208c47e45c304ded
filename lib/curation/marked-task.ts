// A task, with what the policy knows of it.
import type { Task } from '../rollout/types.js'

/** 'known': right in every sample without tools; 'needed': right in none. 'ungraded': the reward could not grade a sample. */
export type KnowledgeMark = 'known' | 'partly' | 'needed' | 'ungraded'

export interface MarkedTask {
  task: Task
  mark: KnowledgeMark
  /** The share of right samples; undefined where ungraded. */
  rightShare: number | undefined
}
