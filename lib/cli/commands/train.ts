// hdpo train: reinforcement learning from a config file.
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { HdpoError } from '../../core/errors.js'
import { deriveSeed } from '../../core/seed.js'
import { type EvaluationSummary, evaluate, measureKnown } from '../../evaluation/evaluate.js'
import { Policy } from '../../policy/policy.js'
import type { Task } from '../../rollout/types.js'
import { checkRunFolder } from '../../run/run-folder.js'
import { takeTasks } from '../../tasks/task-list.js'
import type { Environment } from '../../trainer/environment.js'
import { Trainer } from '../../trainer/trainer.js'
import type { TrainerEvaluation } from '../../trainer/trainer-options.js'
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
  await checkRunFolder(output, flags)
  const environment = await trainEnvironment(config, folder)
  const loggers = config.loggers && resolveLoggers(config.loggers, folder)
  const evaluated = config.evaluate && (await evaluationTasks(config.evaluate.tasks, environment))
  const terminal = new Terminal()
  const policy = await Policy.load(startFolder(config, path, folder), policyOptions(config, folder))
  try {
    if (flags.profile) await policy.enableProfile(true)
    terminal.line(formatMemoryPlan(await policy.memoryPlan(config.optimizer.microBatchTokens)))
    const evaluation =
      evaluated && (await prepareEvaluation(config, policy, environment, evaluated, terminal))
    let after: Partial<EvaluationSummary> | undefined
    const trainer = new Trainer({
      ...trainerSettings(config),
      policy,
      output,
      config,
      ...(await trainSource(config, folder, environment, policy, (line) => terminal.line(line))),
      ...(evaluation && { evaluate: evaluation.settings }),
      ...(loggers && { loggers }),
      onWarning: (message) => terminal.line(`warning: ${message}`),
    })
    await runTraining({
      policy,
      steps: config.steps,
      output,
      resume: flags.resume === true,
      terminal,
      run: (options) => trainer.run(options),
      describe: ({ metrics }, eta) => {
        after = metrics.evaluation ?? after
        return describeStep(metrics, config.steps, eta)
      },
      record: (steps) => trainingRecord(config, steps, evaluation?.before, after),
    })
    if (flags.profile) terminal.line(formatProfile(await policy.profile()))
  } finally {
    await policy.close()
    await closeEnvironment(environment)
  }
}

/** The keys of the config that the Trainer takes as they are. */
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

/** At most `limit` of the held-out tasks. */
async function evaluationTasks(
  limit: number | undefined,
  { heldOutTasks }: Environment,
): Promise<readonly Task[]> {
  const tasks = heldOutTasks && (await takeTasks(heldOutTasks, limit))
  if (tasks?.length) return tasks
  throw new HdpoError('ERR_CONFIG', 'evaluate: needs evaluationTasks, or an environment with held-out tasks')
}

/**
 * Measures what the policy knows before training, so that the evaluations can tell redundant calls from
 * needed ones.
 */
async function prepareEvaluation(
  config: TrainConfig,
  policy: Policy,
  environment: Environment,
  tasks: readonly Task[],
  terminal: Terminal,
): Promise<{ settings: TrainerEvaluation; before: EvaluationSummary }> {
  const { every, samples } = config.evaluate ?? { every: config.steps }
  terminal.status(`measuring what the policy knows: ${tasks.length} questions, 8 times each, tools off`)
  const { tools, evaluationReward: reward = environment.reward } = environment
  const knowledge = await measureKnown({
    policy,
    tasks,
    tools,
    reward,
    ...(config.rollout && { rollout: config.rollout }),
    seed: config.seed ?? 0,
  })
  terminal.done()
  terminal.line(
    `held-out questions: ${tasks.length}, known ${knowledge.known.size}, needed ${knowledge.needed.size}`,
  )
  const settings = { tasks, every, knowledge, reward, ...(samples !== undefined && { samples }) }
  terminal.status('measuring the policy before training')
  const { summary } = await evaluate({
    ...settings,
    policy,
    tools,
    ...(config.rollout && { rollout: config.rollout }),
    // As the trainer evaluates.
    seed: deriveSeed(config.seed ?? 0, 'evaluate'),
  })
  terminal.done()
  return { settings, before: summary }
}
