import { HdpoError } from '../errors.js'
import type { ScoredTrajectory, Task, Trajectory } from '../rollout/types.js'
import type { AnswerReward, RewardOptions } from './types.js'

/**
 * Rollouts of one task with their rewards: accuracyReward = answerWeight * answerReward + formatWeight *
 * formatReward. A reward function that throws, or returns anything but a score, makes this reject with
 * ERR_REWARD, naming task and rollout.
 */
export async function scoreTrajectories(
  trajectories: readonly Trajectory[],
  task: Task,
  { answer, answerWeight = 0.9, formatWeight = 0.1 }: RewardOptions,
): Promise<ScoredTrajectory[]> {
  if (typeof answer !== 'function')
    throw new TypeError(`reward.answer: must be a function, got ${typeof answer}`)
  checkWeight('answerWeight', answerWeight)
  checkWeight('formatWeight', formatWeight)
  return Promise.all(
    trajectories.map(async (trajectory) => {
      const answerReward = await scoreAnswer(trajectory, task, answer)
      const formatReward = trajectory.wellFormed ? 1 : 0
      const accuracyReward = answerWeight * answerReward + formatWeight * formatReward
      return { ...trajectory, answerReward, formatReward, accuracyReward }
    }),
  )
}

/** The binary `answer` that efficiency depends on: only a full answer reward is correct. */
export function isCorrect({ answerReward }: Pick<ScoredTrajectory, 'answerReward'>): boolean {
  return answerReward >= 1
}

async function scoreAnswer(trajectory: Trajectory, task: Task, answer: AnswerReward): Promise<number> {
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
  if (typeof score === 'boolean') return score ? 1 : 0
  if (typeof score === 'number' && score >= 0 && score <= 1) return score
  throw new HdpoError(
    'ERR_REWARD',
    `${where}: the answer reward must be true, false or a number from 0 to 1, got ${String(score)}`,
  )
}

function checkWeight(name: string, value: unknown): void {
  if (typeof value !== 'number') throw new TypeError(`reward.${name}: must be a number, got ${typeof value}`)
  if (!(value >= 0 && Number.isFinite(value)))
    throw new RangeError(`reward.${name}: must be at least 0, got ${value}`)
}
