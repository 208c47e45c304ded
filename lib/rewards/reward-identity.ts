// What a run remembers about its rewards, so that a resumed run is graded by the same.
import { createHash } from 'node:crypto'
import { readOptions } from '../core/options.js'
import { type RewardOptions, rewardOptions } from './reward-options.js'
import type { AnswerReward } from './types.js'

export function rewardIdentity(reward: RewardOptions): Record<string, unknown> {
  const { answer, answerWeight, formatWeight } = readOptions(rewardOptions, reward, 'reward')
  return { answer: answerIdentity(answer), answerWeight, formatWeight }
}

export function answerIdentity(answer: AnswerReward): Record<string, unknown> {
  return answer.identity ?? functionIdentity(answer)
}

/** A user's own function is identified by its name and its text. */
export function functionIdentity(given: { name: string; toString(): string }): Record<string, unknown> {
  const text = createHash('sha256').update(given.toString()).digest('hex').slice(0, 16)
  return { function: given.name, text }
}

/** One of hdpo's own rules is identified by its name and options. */
export function identified<Reward extends AnswerReward>(
  rule: string,
  options: Record<string, unknown>,
  reward: Reward,
): Reward {
  const values = Object.entries(options).map(([name, value]) => [name, plain(value)])
  return Object.assign(reward, { identity: { rule, ...Object.fromEntries(values) } })
}

function plain(value: unknown): unknown {
  if (typeof value === 'function') return functionIdentity(value)
  return value instanceof RegExp ? String(value) : value
}
