// What a run remembers of how it is graded, so that a resumed one is graded by the same.
import { createHash } from 'node:crypto'
import { readOptions } from '../core/options.js'
import { type RewardOptions, rewardOptions } from './reward-options.js'

export function rewardIdentity(reward: RewardOptions): Record<string, unknown> {
  const { answer, answerWeight, formatWeight } = readOptions(rewardOptions, reward, 'reward')
  return { answer: answer.identity ?? functionIdentity(answer), answerWeight, formatWeight }
}

/** A function of the user's own is known by its name and its text. */
export function functionIdentity(given: { name: string; toString(): string }): Record<string, unknown> {
  const text = createHash('sha256').update(given.toString()).digest('hex').slice(0, 16)
  return { function: given.name, text }
}
