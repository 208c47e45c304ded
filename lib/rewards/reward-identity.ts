// What a run remembers about its rewards, so that a resumed run is graded by the same.
import { functionIdentity } from '../core/function-identity.js'
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

/** One of hdpo's own rules is identified by its name and options; `check` looks at a task before any rollout is graded. */
export function identified<Reward extends AnswerReward>(
  rule: string,
  options: Record<string, unknown>,
  reward: Reward,
  check?: AnswerReward['check'],
): Reward {
  const values = Object.entries(options).map(([name, value]) => [name, plain(value)])
  const identity = { rule, ...Object.fromEntries(values) }
  return Object.assign(reward, { identity, ...(check && { check }) })
}

function plain(value: unknown): unknown {
  if (typeof value === 'function') return functionIdentity(value)
  return value instanceof RegExp ? String(value) : value
}
