// hdpo sft: supervised training from a config file, usually the cold start before `hdpo train`.
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { HdpoError } from '../../core/errors.js'
import { whileHeld } from '../../core/folder-lock.js'
import { addSecretVariables } from '../../core/secrets.js'
import { checkReplaceableFolder } from '../../core/writable.js'
import { takeSteps } from '../../experiment/take-steps.js'
import { Policy } from '../../policy/policy.js'
import { loadTokenizer, readTokenizerFiles } from '../../policy/tokenizer.js'
import { checkRunFolder, isFinished } from '../../run/run-folder.js'
import type { Environment } from '../../trainer/environment.js'
import { seedOf } from '../../trainer/run-options.js'
import { type SupervisedStep, SupervisedTrainer } from '../../trainer/supervised-trainer.js'
import { loadConfig } from '../config/config.js'
import { type SftConfig, sftSchema } from '../config/config-schema.js'
import { closeTools, loadEnvironment, resolveConversations, resolveTools } from '../config/environment.js'
import { freshModelConfig } from '../config/fresh-model.js'
import { resolveLoggers } from '../config/loggers.js'
import { policyOptions, splitPolicyKeys } from '../config/policy-options.js'
import { examples } from '../terminal/examples.js'
import { describeSupervisedStep } from '../terminal/progress.js'
import { Terminal } from '../terminal/terminal.js'
import { runTraining } from './run-training.js'

interface SftFlags {
  resume?: boolean
  output?: string
}

export function addSftCommand(program: Command): void {
  program
    .command('sft')
    .description('supervised training on conversations')
    .argument('<config>', 'YAML or TypeScript file')
    .option('--resume', "go on from the run folder's newest whole checkpoint")
    .option('--output <folder>', 'run folder, instead of the one in the config')
    .addHelpText('after', examples('hdpo sft cold-start.yaml', 'hdpo sft cold-start.yaml --resume'))
    .action(runSft)
}

async function runSft(path: string, flags: SftFlags): Promise<void> {
  const { config, folder } = await loadConfig(path, sftSchema)
  const output = resolve(flags.output ?? resolve(folder, config.output))
  await whileHeld(output, () => trainInto(output, { config, path, folder, flags }))
}

interface SftCommand {
  config: SftConfig
  /** Of the config file, and the folder that it is in. */
  path: string
  folder: string
  flags: SftFlags
}

/** The caller holds `output` until the policy is saved. */
async function trainInto(output: string, { config, path, folder, flags }: SftCommand): Promise<void> {
  await checkRunFolder(output, flags)
  await checkReplaceableFolder(join(output, 'policy'))
  const context = { seed: seedOf(config), folder }
  const environment =
    config.environment === undefined ? undefined : await loadEnvironment(config.environment, context)
  const source = config.conversations ?? environment?.conversations
  if (!source) {
    throw new HdpoError('ERR_CONFIG', `${path}: conversations must be given, or an environment that has some`)
  }
  addSecretVariables(config.secrets ?? [])
  const terminal = new Terminal()
  const conversations = await resolveConversations(source, folder, (message) =>
    terminal.line(`warning: ${message}`),
  )
  const calling = conversations.filter(({ messages }) => messages.some(({ toolCalls }) => toolCalls?.length))
  terminal.line(
    `conversations: ${conversations.length}, ${calling.length} with tool calls, ${conversations.length - calling.length} without`,
  )
  const tools = config.tools ? await resolveTools(config.tools, folder) : (environment?.tools ?? [])
  const ownLoggers = config.loggers && resolveLoggers(config.loggers, folder)
  const policy = await openPolicy(config, path, folder, environment)
  try {
    const { policy: _, model: __, environment: ___, secrets: ____, loggers: _____, ...rest } = config
    const { settings } = splitPolicyKeys(rest)
    const trainer = new SupervisedTrainer({
      ...settings,
      policy,
      conversations,
      tools,
      output,
      config,
      ...(ownLoggers && { loggers: ownLoggers }),
      onWarning: (message) => terminal.line(`warning: ${message}`),
    })
    await runTraining<SupervisedStep>({
      policy,
      steps: trainer.steps,
      output,
      resume: flags.resume === true,
      finished: flags.resume === true && (await isFinished(output, trainer.steps)),
      terminal,
      train: (run, onStep) => takeSteps(trainer.run(run), onStep),
      describe: ({ metrics }, eta) => describeSupervisedStep(metrics, trainer.steps, eta),
      record: (metrics) => ({
        method: 'supervised',
        steps: metrics.length,
        settings: { conversations: conversations.length, 'learning rate': config.optimizer.learningRate },
      }),
    })
  } finally {
    await policy.close()
    await closeTools(tools)
  }
}

/** The policy to go on from, or a fresh one of the sizes in the config. */
async function openPolicy(
  config: SftConfig,
  path: string,
  folder: string,
  environment: Environment | undefined,
): Promise<Policy> {
  const { policy, model } = config
  if ((policy === undefined) === (model === undefined)) {
    throw new HdpoError(
      'ERR_CONFIG',
      `${path}: exactly one of policy (a folder) and model (a folder, or sizes of a fresh one) must be given`,
    )
  }
  const start = policy ?? model
  if (typeof start !== 'object')
    return Policy.load(resolve(folder, start as string), policyOptions(config, folder))
  const { tokenizer: tokenizerFolder } = start
  const files = tokenizerFolder
    ? readTokenizerFiles(resolve(folder, tokenizerFolder))
    : environment?.tokenizer
  if (!files) {
    throw new HdpoError('ERR_CONFIG', `${path}: model.tokenizer must be given: a folder with tokenizer.json`)
  }
  const template = files.config?.chat_template
  const source =
    typeof template === 'string'
      ? { template, endOfTurn: String(files.config?.eos_token ?? '<|im_end|>') }
      : environment?.template
  if (!source) {
    throw new HdpoError(
      'ERR_CONFIG',
      `${path}: tokenizer_config.json in model.tokenizer has no chat_template`,
    )
  }
  return Policy.create({
    ...policyOptions(config, folder),
    config: freshModelConfig(start, loadTokenizer(files).vocabSize),
    tokenizer: files,
    template: source,
    seed: seedOf(config),
  })
}
