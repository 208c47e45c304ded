// The rollouts of one prompt: prefilled once, forked for each.

import { z } from 'zod'
import { allOrNone } from '../core/all-or-none.js'
import { checkObject, checkObjects } from '../core/arguments.js'
import { count, seed as seedOption, signal as signalOption } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { deriveSeed } from '../core/seed.js'
import type { RolloutPolicy, Sequence } from '../policy/types.js'
import type { Tool } from '../tools/types.js'
import type { RolloutOptions } from './options.js'
import { playRollout } from './run-rollout.js'
import { createSetting } from './setting.js'
import type { Rollout, Task } from './types.js'

export const groupShape = {
  /** Number of rollouts. */
  size: count,
  /** Rollout i draws from deriveSeed(seed, 'rollout', i). Default 0. */
  seed: seedOption.default(0),
  /** Aborting it ends all rollouts, with end 'aborted'. */
  signal: signalOption.optional(),
}
const groupOptions = z.strictObject(groupShape)
export interface GroupOptions extends RolloutOptions, OptionsOf<typeof groupShape> {}

/** The options of the group with defaults filled in, apart from those of its rollouts. Throws InvalidOptionError. */
export function resolveGroup({ size, seed, signal, ...rollout }: GroupOptions) {
  return { ...readOptions(groupOptions, { size, seed, signal }), rollout: rollout as RolloutOptions }
}

/** Makes the rollouts of one task: runGroup, or a function that runs the user's own agent (lib/server/agent-rollouts.ts). */
export interface RunGroup {
  (policy: RolloutPolicy, task: Task, tools: readonly Tool[], options: GroupOptions): Promise<Rollout[]>
  /** What the rollouts depend on, as JSON, for the comparison when a run is resumed. Default: the function's name and text. */
  readonly identity?: Record<string, unknown>
}

function checkGroup(policy: unknown, task: unknown, tools: unknown, options: unknown): void {
  checkObject(policy, 'policy', 'a policy', {
    tokenizer: 'object',
    template: 'object',
    createSequence: 'function',
  })
  checkObject(task, 'task', 'a task: { id, messages, answer }', { id: 'string', messages: 'list' })
  checkObjects((task as Task).messages, 'task.messages', 'a message')
  checkObjects(tools, 'tools', 'a tool')
  checkObject(options, 'options', 'an object', {})
}

/**
 * The rollouts in order of their seeds. If one rejects, the others are stopped and every sequence is released
 * before this rejects.
 */
export async function runGroup(
  policy: RolloutPolicy,
  task: Task,
  tools: readonly Tool[],
  options: GroupOptions,
): Promise<Rollout[]> {
  checkGroup(policy, task, tools, options)
  const { size, seed, signal, rollout } = resolveGroup(options)
  const setting = createSetting(policy, task, tools, rollout)
  const prompt = policy.createSequence(setting.prompt)
  const forks: Sequence[] = []
  try {
    await prompt.prefill()
    for (let index = 0; index < size; index++) forks.push(prompt.fork())
    return await allOrNone(size, [signal], (index, stop) =>
      playRollout(setting, forks[index] as Sequence, {
        id: `${task.id}#${index}`,
        seed: deriveSeed(seed, 'rollout', index),
        signal: stop,
      }),
    )
  } finally {
    for (const sequence of [...forks, prompt]) sequence.release()
  }
}
