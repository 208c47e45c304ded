// hdpo train: reinforcement learning from a config file.
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { HdpoError } from '../../core/errors.js'
import { whileHeld } from '../../core/folder-lock.js'
import { deriveSeed } from '../../core/seed.js'
import { checkReplaceableFolder } from '../../core/writable.js'
import { measureStart, type Start } from '../../experiment/measure-start.js'
import { trainAndMeasure } from '../../experiment/train-and-measure.js'
import { Policy } from '../../policy/policy.js'
import { checkAnswers } from '../../rewards/check-answers.js'
import type { RewardOptions } from '../../rewards/rewards.js'
import { checkRunFolder, isFinished } from '../../run/run-folder.js'
import { eachTask, takeTasks } from '../../tasks/task-list.js'
import type { Environment } from '../../trainer/environment.js'
import { seedOf } from '../../trainer/run-options.js'
import type { TrainerStep } from '../../trainer/trainer.js'
import type { TrainerEvaluation, TrainerOptions } from '../../trainer/trainer-options.js'
import { loadConfig } from '../config/config.js'
import { type TrainConfig, trainSchema } from '../config/config-schema.js'
import { closeEnvironment } from '../config/environment.js'
import { resolveLoggers } from '../config/loggers.js'
import { policyOptions, splitPolicyKeys } from '../config/policy-options.js'
import { startFolder } from '../config/policy-schema.js'
import { trainEnvironment, trainSource } from '../config/recorded-source.js'
import { examples } from '../terminal/examples.js'
import { formatMemoryPlan } from '../terminal/memory-line.js'
import { formatProfile } from '../terminal/profile-table.js'
import { describeStep } from '../terminal/progress.js'
import { Terminal } from '../terminal/terminal.js'
import { runTraining } from './run-training.js'
import { describeTrainingEnd } from './training-end.js'
import { trainingRecord } from './training-record.js'

interface TrainFlags {
  resume?: boolean
  profile?: boolean
  output?: string
}

export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .description('train a policy with HDPO or a baseline')
    .argument('<config>', 'YAML or TypeScript file')
    .option('--resume', "go on from the run folder's newest whole checkpoint")
    .option('--profile', 'show the share of every native op at the end')
    .option('--output <folder>', 'run folder, instead of the one in the config')
    .addHelpText(
      'after',
      examples('hdpo train train.yaml', 'hdpo train train.yaml --resume', 'hdpo train train.ts --profile'),
    )
    .action(runTrain)
}

async function runTrain(path: string, flags: TrainFlags): Promise<void> {
  const { config, folder } = await loadConfig(path, trainSchema)
  const output = resolve(flags.output ?? resolve(folder, config.output))
  await whileHeld(output, () => trainInto(output, { config, path, folder, flags }))
}

interface TrainCommand {
  config: TrainConfig
  /** Of the config file, and the folder that it is in. */
  path: string
  folder: string
  flags: TrainFlags
}

/** The caller holds `output`, from the first measurement to the saved policy. */
async function trainInto(output: string, { config, path, folder, flags }: TrainCommand): Promise<void> {
  await checkRunFolder(output, flags)
  await checkReplaceableFolder(join(output, 'policy'))
  const environment = await trainEnvironment(config, folder)
  await checkAnswers(environment.reward.answer, eachTask(environment.tasks))
  const loggers = config.loggers && resolveLoggers(config.loggers, folder)
  const evaluation = config.evaluate && (await evaluationOf(config.evaluate, environment))
  const terminal = new Terminal()
  const policy = await Policy.load(startFolder(config, path, folder), policyOptions(config, folder))
  try {
    if (flags.profile) await policy.enableProfile(true)
    terminal.line(formatMemoryPlan(await policy.memoryPlan(config.optimizer.microBatchTokens)))
    const finished = flags.resume === true && (await isFinished(output, config.steps))
    const start = finished
      ? undefined
      : evaluation && (await measure(config, policy, environment, evaluation, terminal))
    const trainer: TrainerOptions = {
      ...trainerSettings(config),
      policy,
      output,
      config,
      ...(await trainSource(config, folder, environment, policy, (line) => terminal.line(line))),
      ...(evaluation && { evaluate: { ...evaluation, ...(start && { knowledge: start.knowledge }) } }),
      ...(loggers && { loggers }),
      onWarning: (message) => terminal.line(`warning: ${message}`),
    }
    await runTraining<TrainerStep>({
      policy,
      steps: config.steps,
      output,
      resume: flags.resume === true,
      finished,
      terminal,
      train: (run, onStep) => trainAndMeasure({ trainer, run, onStep }),
      describe: ({ metrics }, eta) => describeStep(metrics, config.steps, eta),
      record: (metrics) => trainingRecord(config, metrics, start?.before.all),
      ...(!finished && {
        describeEnd: (metrics) =>
          describeTrainingEnd({ metrics, output, ...(start && { before: start.before.all }) }),
      }),
    })
    if (flags.profile) terminal.line(formatProfile(await policy.profile()))
  } finally {
    await policy.close()
    await closeEnvironment(environment)
  }
}

/** The keys of the config that the Trainer takes unchanged. */
function trainerSettings(config: TrainConfig) {
  const {
    policy,
    model,
    environment,
    environmentSettings,
    tasks,
    evaluationTasks,
    tools,
    reward,
    secrets,
    recordedRollouts,
    loggers,
    ...own
  } = config
  const { output, evaluate, ...rest } = own
  return splitPolicyKeys(rest).settings
}

/** What the evaluations before and during training ask. */
async function evaluationOf(
  { every, samples, tasks: limit }: NonNullable<TrainConfig['evaluate']>,
  environment: Environment,
): Promise<TrainerEvaluation & { reward: RewardOptions }> {
  const tasks = environment.heldOutTasks && (await takeTasks(environment.heldOutTasks, limit))
  if (!tasks?.length) {
    throw new HdpoError(
      'ERR_CONFIG',
      'evaluate: needs evaluationTasks, or an environment with held-out tasks',
    )
  }
  const { evaluationReward: reward = environment.reward } = environment
  return { tasks, every, reward, ...(samples !== undefined && { samples }) }
}

/** Measures the policy before training, so that the evaluations can tell redundant calls from needed ones. */
async function measure(
  config: TrainConfig,
  policy: Policy,
  { tools }: Environment,
  { every: _, ...asked }: Awaited<ReturnType<typeof evaluationOf>>,
  terminal: Terminal,
): Promise<Start> {
  const { rollout } = config
  const seed = seedOf(config)
  const questions = asked.tasks.length
  terminal.status(`measuring what the policy knows: ${questions} questions, 8 times each, tools off`)
  const start = await measureStart({
    // This is the seed that the trainer's own evaluations use.
    heldOut: { ...asked, policy, tools, ...(rollout && { rollout }), seed: deriveSeed(seed, 'evaluate') },
    known: { seed },
    onKnowledge: ({ known, needed }) => {
      terminal.done()
      terminal.line(`held-out questions: ${questions}, known ${known.size}, needed ${needed.size}`)
      terminal.status('measuring the policy before training')
    },
  })
  terminal.done()
  return start
}
