import { HdpoError } from '../core/errors.js'
import { redact } from '../core/secrets.js'
import type { ScoredTrajectory, Task, Trajectory, UngradedTrajectory } from '../rollout/types.js'
import type { AnswerReward, RewardOptions } from './types.js'
import { Ungraded } from './ungraded.js'

/**
 * Rollouts of one task, in order, with their rewards: accuracyReward = answerWeight * answerReward + formatWeight *
 * formatReward. One that the reward could not grade has none, only the reason. A reward function that throws, or returns anything but a score, makes this reject with
 * ERR_REWARD, naming task and rollout.
 */
export async function scoreTrajectories(
  trajectories: readonly Trajectory[],
  task: Task,
  { answer, answerWeight = 0.9, formatWeight = 0.1 }: RewardOptions,
): Promise<(ScoredTrajectory | UngradedTrajectory)[]> {
  if (typeof answer !== 'function')
    throw new TypeError(`reward.answer: must be a function, got ${typeof answer}`)
  checkWeight('answerWeight', answerWeight)
  checkWeight('formatWeight', formatWeight)
  return Promise.all(
    trajectories.map(async (trajectory) => {
      const answerReward =
        trajectory.failure === undefined
          ? await scoreAnswer(trajectory, task, answer)
          : new Ungraded(trajectory.failure)
      const formatReward = trajectory.wellFormed ? 1 : 0
      if (answerReward instanceof Ungraded)
        return { ...trajectory, formatReward, ungraded: redact(answerReward.reason) }
      const accuracyReward = answerWeight * answerReward + formatWeight * formatReward
      return { ...trajectory, answerReward, formatReward, accuracyReward }
    }),
  )
}

/** Those with rewards, and those without, each in order. */
export function partitionGraded(rollouts: readonly (ScoredTrajectory | UngradedTrajectory)[]): {
  graded: ScoredTrajectory[]
  ungraded: UngradedTrajectory[]
} {
  const graded: ScoredTrajectory[] = []
  const ungraded: UngradedTrajectory[] = []
  for (const rollout of rollouts) {
    if (isUngraded(rollout)) ungraded.push(rollout)
    else graded.push(rollout)
  }
  return { graded, ungraded }
}

export function isUngraded(rollout: ScoredTrajectory | UngradedTrajectory): rollout is UngradedTrajectory {
  return rollout.ungraded !== undefined
}

/** The binary `answer` that efficiency depends on: only a full answer reward is correct. */
export function isCorrect({ answerReward }: Pick<ScoredTrajectory, 'answerReward'>): boolean {
  return answerReward >= 1
}

async function scoreAnswer(
  trajectory: Trajectory,
  task: Task,
  answer: AnswerReward,
): Promise<number | Ungraded> {
  const where = `task "${task.id}", rollout "${trajectory.id}"`
  if (trajectory.taskId !== task.id)
    throw new RangeError(`${where}: is a rollout of task "${trajectory.taskId}"`)
  let score: unknown
  try {
    score = await answer(trajectory, task)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new HdpoError('ERR_REWARD', `${where}: the answer reward failed: ${message}`, { cause: error })
  }
  if (score instanceof Ungraded) return score
  if (typeof score === 'boolean') return score ? 1 : 0
  if (typeof score === 'number' && score >= 0 && score <= 1) return score
  throw new HdpoError(
    'ERR_REWARD',
    `${where}: the answer reward must be true, false, a number from 0 to 1 or ungraded(reason), got ${String(score)}`,
  )
}

function checkWeight(name: string, value: unknown): void {
  if (typeof value !== 'number') throw new TypeError(`reward.${name}: must be a number, got ${typeof value}`)
  if (!(value >= 0 && Number.isFinite(value)))
    throw new RangeError(`reward.${name}: must be at least 0, got ${value}`)
}
