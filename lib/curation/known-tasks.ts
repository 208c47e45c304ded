// What the policy answers by itself, task by task, for data sets of any size.
import { deriveSeed } from '../rollout/seed.js'
import type { Task } from '../rollout/types.js'
import { type TaskList, taskAt } from '../tasks/task-list.js'
import { type EvaluateOptions, measureKnown } from '../trainer/evaluate.js'

/** 'known': right in every sample without tools; 'needed': in none. 'ungraded': the reward could not grade a sample. */
export type KnowledgeMark = 'known' | 'partly' | 'needed' | 'ungraded'

export interface MarkedTask {
  task: Task
  mark: KnowledgeMark
  /** Share of right samples; undefined where ungraded. */
  rightShare: number | undefined
}

// Rollouts are kept until their part is measured.
const tasksAtOnce = 256

/** In the order of the tasks. */
export async function* markKnown(
  tasks: TaskList,
  options: Omit<EvaluateOptions, 'tasks' | 'knowledge'> & { samples: number },
): AsyncGenerator<MarkedTask, void, void> {
  for (let start = 0; start < tasks.length; start += tasksAtOnce) {
    const count = Math.min(tasksAtOnce, tasks.length - start)
    const part = await Promise.all(Array.from({ length: count }, (_, index) => taskAt(tasks, start + index)))
    const seed = deriveSeed(options.seed ?? 0, 'curate', start)
    const knowledge = await measureKnown({ ...options, tasks: part, seed })
    for (const task of part) {
      const rightShare = knowledge.rightShare.get(task.id)
      yield { task, mark: markOf(rightShare), rightShare }
    }
  }
}

function markOf(rightShare: number | undefined): KnowledgeMark {
  if (rightShare === undefined) return 'ungraded'
  return rightShare === 1 ? 'known' : rightShare === 0 ? 'needed' : 'partly'
}
