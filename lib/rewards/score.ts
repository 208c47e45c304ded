import { checkObject, checkObjects } from '../core/arguments.js'
import { HdpoError } from '../core/errors.js'
import { isFullScore, withoutRounding } from '../core/full-score.js'
import { messageOf } from '../core/message-of.js'
import { readOptions } from '../core/options.js'
import { redact } from '../core/redact.js'
import type { Rollout, ScoredRollout, Task, UngradedRollout } from '../rollout/types.js'
import { type RewardOptions, rewardOptions } from './reward-options.js'
import type { AnswerReward } from './types.js'
import { Ungraded } from './ungraded.js'

/**
 * Rollouts of one task, in order, with their rewards: accuracyReward = answerWeight * answerReward + formatWeight *
 * formatReward. A rollout that could not be graded has the reason instead of them. A reward function that throws, or returns
 * anything but a score, makes this reject with ERR_REWARD, naming task and rollout; a judge that refuses every request with
 * ERR_ENDPOINT.
 */
export async function scoreRollouts(
  rollouts: readonly Rollout[],
  task: Task,
  reward: RewardOptions,
): Promise<(ScoredRollout | UngradedRollout)[]> {
  const { answer, answerWeight, formatWeight } = readOptions(rewardOptions, reward, 'reward')
  checkObjects(rollouts, 'rollouts', 'a rollout')
  for (const [index, rollout] of rollouts.entries())
    checkObject(rollout, `rollouts[${index}]`, 'a rollout with id and taskId', {
      id: 'string',
      taskId: 'string',
    })
  checkObject(task, 'task', 'a task: { id, messages, answer }', { id: 'string' })
  return Promise.all(
    rollouts.map(async (rollout) => {
      const answerReward =
        rollout.failure === undefined
          ? await scoreAnswer(rollout, task, answer)
          : new Ungraded(rollout.failure)
      const formatReward = rollout.wellFormed ? 1 : 0
      if (answerReward instanceof Ungraded)
        return { ...rollout, formatReward, ungraded: redact(answerReward.reason) }
      const accuracyReward = answerWeight * answerReward + formatWeight * formatReward
      return { ...rollout, answerReward, formatReward, accuracyReward }
    }),
  )
}

/** Separates rollouts with rewards from those without, each in order. */
export function partitionGraded(rollouts: readonly (ScoredRollout | UngradedRollout)[]): {
  graded: ScoredRollout[]
  ungraded: UngradedRollout[]
} {
  const graded: ScoredRollout[] = []
  const ungraded: UngradedRollout[] = []
  for (const rollout of rollouts) {
    if (isUngraded(rollout)) ungraded.push(rollout)
    else graded.push(rollout)
  }
  return { graded, ungraded }
}

export function isUngraded(rollout: ScoredRollout | UngradedRollout): rollout is UngradedRollout {
  return rollout.ungraded !== undefined
}

/** The binary `answer` that efficiency depends on: only a full answer reward is correct, rounding apart. */
export function isCorrect({ answerReward }: Pick<ScoredRollout, 'answerReward'>): boolean {
  return isFullScore(answerReward)
}

async function scoreAnswer(rollout: Rollout, task: Task, answer: AnswerReward): Promise<number | Ungraded> {
  const where = `task "${task.id}", rollout "${rollout.id}"`
  if (rollout.taskId !== task.id) {
    throw new HdpoError('ERR_REWARD', `${where}: is a rollout of task "${rollout.taskId}"`)
  }
  let score: unknown
  try {
    score = await answer(rollout, task)
  } catch (error) {
    // A judge that refuses every request is no fault of this rollout.
    if (error instanceof HdpoError && error.code === 'ERR_ENDPOINT') throw error
    const message = messageOf(error)
    throw new HdpoError('ERR_REWARD', `${where}: the answer reward failed: ${message}`, { cause: error })
  }
  if (score instanceof Ungraded) return score
  if (typeof score === 'boolean') return score ? 1 : 0
  const rounded = typeof score === 'number' ? withoutRounding(score) : undefined
  if (rounded !== undefined && rounded >= 0 && rounded <= 1) return rounded
  throw new HdpoError(
    'ERR_REWARD',
    `${where}: the answer reward must be true, false, a number from 0 to 1 or ungraded(reason), got ${String(score)}`,
  )
}
