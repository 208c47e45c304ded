// Measures what the policy answers without tools, task by task, for data sets of any size.
import { deriveSeed } from '../core/seed.js'
import { type EvaluateOptions, measureKnown } from '../evaluation/evaluate.js'
import type { Task } from '../rollout/types.js'
import { type TaskList, taskAt } from '../tasks/task-list.js'
import type { CurationJournal } from './journal.js'
import type { KnowledgeMark, MarkedTask } from './marked-task.js'

// Tasks per part. Rollouts are kept in memory until their part is measured; a killed curation measures its last part again.
const tasksAtOnce = 64

/** Yields in the order of the tasks. Parts in the journal are not measured again. */
export async function* markKnown(
  tasks: TaskList,
  options: Omit<EvaluateOptions, 'tasks' | 'knowledge'> & { samples: number; seed: number },
  journal: CurationJournal,
): AsyncGenerator<MarkedTask, void, void> {
  for (let start = 0; start < tasks.length; start += tasksAtOnce) {
    const count = Math.min(tasksAtOnce, tasks.length - start)
    const part = await Promise.all(Array.from({ length: count }, (_, index) => taskAt(tasks, start + index)))
    const rightShares = journal.parts.get(start) ?? (await measurePart(part, start, options))
    if (!journal.parts.has(start)) await journal.recordPart(start, rightShares)
    for (const [index, task] of part.entries()) {
      const rightShare = rightShares[index] ?? undefined
      yield { task, mark: markOf(rightShare), rightShare }
    }
  }
}

/** Shares of right samples in the order of the tasks; null where ungraded. */
async function measurePart(
  tasks: readonly Task[],
  start: number,
  options: Omit<EvaluateOptions, 'tasks' | 'knowledge'> & { samples: number; seed: number },
): Promise<(number | null)[]> {
  const seed = deriveSeed(options.seed, 'curate', start)
  const { rightShare } = await measureKnown({ ...options, tasks, seed })
  return tasks.map(({ id }) => rightShare.get(id) ?? null)
}

function markOf(rightShare: number | undefined): KnowledgeMark {
  if (rightShare === undefined) return 'ungraded'
  return rightShare === 1 ? 'known' : rightShare === 0 ? 'needed' : 'partly'
}
