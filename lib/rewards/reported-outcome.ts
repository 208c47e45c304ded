import { HdpoError } from '../core/errors.js'
import { identified } from './reward-identity.js'
import type { AnswerReward } from './types.js'

/** The `correct` or `reward` that was reported for a rollout that an agent ran (lib/server). */
export function reportedOutcome(): AnswerReward {
  return identified('reported-outcome', {}, ({ id, outcome }) => {
    const score = outcome?.reward ?? outcome?.correct
    if (score === undefined) {
      throw new HdpoError(
        'ERR_REWARD',
        `rollout "${id}": nobody reported whether it is correct (outcome: ${JSON.stringify(outcome)})`,
      )
    }
    return score
  })
}
