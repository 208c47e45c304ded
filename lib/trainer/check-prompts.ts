// Renders every prompt of a run before the first step: a template that fails on one, or a prompt that leaves no room for a reply,
// is reported at once and not after hours.
import { setImmediate } from 'node:timers/promises'
import { HdpoError } from '../core/errors.js'
import type { RolloutPolicy } from '../policy/types.js'
import type { RolloutOptions } from '../rollout/options.js'
import { createSetting } from '../rollout/setting.js'
import { type TaskList, taskAt } from '../tasks/task-list.js'
import type { Tool } from '../tools/types.js'

interface PromptCheck {
  policy: RolloutPolicy
  tasks: TaskList
  tools: readonly Tool[]
  rollout: RolloutOptions
  /** Which tasks the run comes to. */
  indices: Iterable<number>
  signal?: AbortSignal | undefined
}

/** Prompts rendered before the event loop gets its turn. */
const atOnce = 64

export async function checkPrompts({
  policy,
  tasks,
  tools,
  rollout,
  indices,
  signal,
}: PromptCheck): Promise<void> {
  let checked = 0
  for (const index of new Set(indices)) {
    const task = await taskAt(tasks, index)
    try {
      createSetting(policy, task, tools, rollout)
    } catch (error) {
      if (!(error instanceof HdpoError) || error.code !== 'ERR_CHAT_TEMPLATE') throw error
      throw new HdpoError(error.code, `task "${task.id}": ${error.message}`, { cause: error })
    }
    if (++checked % atOnce !== 0) continue
    await setImmediate()
    if (signal?.aborted) return
  }
}
