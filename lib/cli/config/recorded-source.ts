// `recordedRollouts` of a train config: rollouts that `hdpo serve --output` or another run wrote, instead of fresh ones.
import { resolve } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { addSecretVariables } from '../../core/secrets.js'
import type { Policy } from '../../policy/policy.js'
import { reportedOutcome } from '../../rewards/rewards.js'
import type { Environment } from '../../trainer/environment.js'
import { recordedRollouts } from '../../trainer/recorded-rollouts.js'
import { seedOf } from '../../trainer/run-options.js'
import type { TrainerOptions } from '../../trainer/trainer-options.js'
import type { TrainConfig } from './config-schema.js'
import { resolveEnvironment } from './environment.js'
import { resolveReward } from './reward.js'

/** Recorded rollouts need no tasks: without tasks, their reward is what was reported to the server. */
export async function trainEnvironment(config: TrainConfig, folder: string): Promise<Environment> {
  const { recordedRollouts: recorded, environment, tasks, evaluate } = config
  if (recorded && evaluate) {
    throw new HdpoError(
      'ERR_CONFIG',
      'evaluate: recorded rollouts come from an agent that cannot be asked again here; leave it out and use hdpo eval',
    )
  }
  if (!recorded || environment !== undefined || tasks !== undefined) {
    return resolveEnvironment(config, { seed: seedOf(config), folder })
  }
  if (config.reward?.answer !== undefined) {
    throw new HdpoError(
      'ERR_CONFIG',
      'reward.answer: needs tasks, whose answers it compares with; without it the reported outcomes are the reward',
    )
  }
  addSecretVariables(config.secrets ?? [])
  return {
    tools: [],
    tasks: [],
    reward: { ...(await resolveReward(config.reward, folder)), answer: reportedOutcome() },
  }
}

/** The part of the Trainer's options that says where rollouts come from. */
export async function trainSource(
  config: TrainConfig,
  folder: string,
  { tasks, tools, reward }: Environment,
  policy: Policy,
  say: (line: string) => void,
): Promise<Pick<TrainerOptions, 'tasks' | 'tools' | 'reward' | 'runGroup'>> {
  const { recordedRollouts: wanted, groupSize } = config
  if (!wanted) return { tasks, tools, reward }
  const { path, staleness } = wanted
  const recorded = await recordedRollouts({
    path: [path].flat().map((one) => resolve(folder, one)),
    policy,
    groupSize,
    ...(tasks.length > 0 && { tasks }),
    ...(staleness !== undefined && { staleness }),
  })
  const { redacted, abandoned, alone } = recorded.leftOut
  say(
    `recorded rollouts: ${recorded.count} in ${recorded.tasks.length} groups; left out: ` +
      `${alone} alone with their task, ${abandoned} abandoned, ${redacted} with secrets`,
  )
  return { tasks: recorded.tasks, tools, reward, runGroup: recorded.runGroup }
}
