// What a policy knows without tools, also in the form in which files keep it, and the questions for curves over steps.
import type { Task } from '../rollout/types.js'

/** Knowledge as JSON. */
export interface KeptKnowledge {
  samples: number
  rightShare: [string, number][]
}

export function keepKnowledge({ samples, rightShare }: Knowledge): KeptKnowledge {
  return { samples, rightShare: [...rightShare] }
}

export function toKnowledge({ samples, rightShare }: KeptKnowledge): Knowledge {
  const idsWith = (share: number) =>
    new Set(rightShare.filter(([, right]) => right === share).map(([id]) => id))
  return { samples, rightShare: new Map(rightShare), known: idsWith(1), needed: idsWith(0) }
}

/** The first `limit` known and the first `limit` needed questions, in the order of the tasks. */
export function curveTasks(tasks: readonly Task[], knowledge: Knowledge, limit: number): Task[] {
  const known = tasks.filter((task) => knowledge.known.has(task.id)).slice(0, limit)
  const needed = tasks.filter((task) => knowledge.needed.has(task.id)).slice(0, limit)
  return [...known, ...needed]
}

/**
 * What a policy knows without tools, by task id. Tasks answered right only in some samples are in neither set;
 * tasks with a rollout that was not graded are not in rightShare either.
 */
export interface Knowledge {
  /** Right in every sample. */
  known: ReadonlySet<string>
  /** Right in none. */
  needed: ReadonlySet<string>
  /** Share of right samples of every task asked. */
  rightShare: ReadonlyMap<string, number>
  samples: number
}
