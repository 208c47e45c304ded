// The rollouts of one prompt: prefilled once, forked for each.

import { allOrNone } from '../core/all-or-none.js'
import { checkSeed, deriveSeed } from '../core/seed.js'
import type { RolloutPolicy, Sequence } from '../policy/types.js'
import type { Tool } from '../tools/types.js'
import type { RolloutOptions } from './options.js'
import { playRollout } from './run-rollout.js'
import { createSetting } from './setting.js'
import type { Rollout, Task } from './types.js'

export interface GroupOptions extends RolloutOptions {
  /** Rollouts. */
  size: number
  /** Integer in [0, 2^53). Default 0. Rollout i draws from deriveSeed(seed, 'rollout', i). */
  seed?: number
  /** Ends all rollouts, their rollouts having end 'aborted'. */
  signal?: AbortSignal
}

/** How the rollouts of one task come about: runGroup, or an agent of the user's own (lib/server/agent-rollouts.ts). */
export type RunGroup = (
  policy: RolloutPolicy,
  task: Task,
  tools: readonly Tool[],
  options: GroupOptions,
) => Promise<Rollout[]>

/**
 * In order of their seeds. Where one rejects, the others are stopped and every sequence is released before
 * this rejects.
 */
export async function runGroup(
  policy: RolloutPolicy,
  task: Task,
  tools: readonly Tool[],
  { size, seed = 0, signal, ...options }: GroupOptions,
): Promise<Rollout[]> {
  checkSize(size)
  checkSeed(seed)
  const setting = createSetting(policy, task, tools, options)
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

function checkSize(size: unknown): void {
  if (typeof size !== 'number')
    throw new TypeError(`size: must be a whole number of rollouts, got ${typeof size}`)
  if (!Number.isSafeInteger(size) || size < 1)
    throw new RangeError(`size: must be a whole number of at least 1, got ${size}`)
}
