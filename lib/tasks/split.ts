// A split that depends on each task alone: it stays the same when tasks are added, removed or reordered.
import { createHash } from 'node:crypto'
import type { Task } from '../rollout/types.js'

export interface Split {
  part: 'train' | 'held-out'
  /** Share of tasks that is held out, between 0 and 1. */
  heldOutShare: number
  /** Another seed, another split. Default 0. */
  seed?: number
  /** What is hashed. Default 'question': the same question is never in both parts. */
  by?: 'question' | 'id'
}

export function isInPart(task: Task, { part, heldOutShare, seed = 0, by = 'question' }: Split): boolean {
  const key = by === 'id' ? task.id : task.messages.map(({ role, content }) => [role, content])
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, key]))
    .digest()
  const uniform = Number(digest.readBigUInt64BE(0) >> 11n) / 2 ** 53
  return uniform < heldOutShare === (part === 'held-out')
}

export function checkSplit({ part, heldOutShare, by }: Split): void {
  if (part !== 'train' && part !== 'held-out')
    throw new RangeError(`split.part: must be train or held-out, got ${JSON.stringify(part)}`)
  if (typeof heldOutShare !== 'number')
    throw new TypeError(`split.heldOutShare: must be a number, got ${typeof heldOutShare}`)
  if (!(heldOutShare > 0 && heldOutShare < 1))
    throw new RangeError(`split.heldOutShare: must be between 0 and 1, both excluded, got ${heldOutShare}`)
  if (by !== undefined && by !== 'question' && by !== 'id')
    throw new RangeError(`split.by: must be question or id, got ${JSON.stringify(by)}`)
}
