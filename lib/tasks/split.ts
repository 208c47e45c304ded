// A split that looks at each task alone, so that it stays the same when tasks are added, removed or reordered.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { seed } from '../core/option-kinds.js'
import type { OptionsOf, ResolvedOptions } from '../core/options.js'
import type { Task } from '../rollout/types.js'

export const splitShape = {
  /** Which part is read. */
  part: z.enum(['train', 'held-out']),
  /** Share of tasks that is held out, between 0 and 1. */
  heldOutShare: z.number().gt(0).lt(1),
  /** Another seed gives another split. Default 0. */
  seed: seed.default(0),
  /** What decides the part of a task. Default 'question': the same question is never in both parts. */
  by: z.enum(['question', 'id']).default('question'),
}
export const splitOptions = z.strictObject(splitShape)
export interface Split extends OptionsOf<typeof splitShape> {}

export function isInPart(
  task: Task,
  { part, heldOutShare, seed, by }: ResolvedOptions<typeof splitShape>,
): boolean {
  const key = by === 'id' ? task.id : task.messages.map(({ role, content }) => [role, content])
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, key]))
    .digest()
  const uniform = Number(digest.readBigUInt64BE(0) >> 11n) / 2 ** 53
  return uniform < heldOutShare === (part === 'held-out')
}
