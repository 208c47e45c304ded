// hdpo eval: how accurate an agent is, and which of its tool calls it needs.
import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../../core/errors.js'
import { checkWritableFile } from '../../core/writable.js'
import { EndedEvaluation, type Evaluation, evaluate, measureKnown } from '../../evaluation/evaluate.js'
import { type Knowledge, keepKnowledge } from '../../evaluation/knowledge.js'
import { latencyQuantiles, measureEvaluation } from '../../evaluation/measures.js'
import { describeAllWrong } from '../../rewards/all-wrong.js'
import type { RolloutOptions } from '../../rollout/options.js'
import { rolloutLine } from '../../rollout/rollout-line.js'
import { takeTasks } from '../../tasks/task-list.js'
import type { Environment } from '../../trainer/environment.js'
import type { RewardConfig } from '../config/data-schema.js'
import { closeEnvironment, resolveEnvironment } from '../config/environment.js'
import { listenForInterrupt } from '../terminal/interrupt.js'
import { Terminal } from '../terminal/terminal.js'
import { describeEvalCommand, type EvalFlags } from './eval-flags.js'
import { type EvalOutput, formatEvaluation, readKnowledge } from './eval-output.js'
import { type EvalTarget, openTarget } from './eval-target.js'

export function addEvalCommand(program: Command): void {
  const command = program
    .command('eval')
    .description('accuracy and tool calls of a policy, a model behind an API, or your own agent')
  describeEvalCommand(command).action(runEval)
}

async function runEval(policyFolder: string | undefined, flags: EvalFlags): Promise<void> {
  if (flags.known && flags.knownFrom !== undefined) {
    throw new HdpoError('ERR_CONFIG', '--known measures what --known-from reads: give one of them')
  }
  for (const path of [flags.output, flags.rollouts]) if (path !== undefined) await checkWritableFile(path)
  const kept = flags.knownFrom === undefined ? undefined : await readKnowledge(flags.knownFrom)
  const environment = await evaluatedEnvironment(flags)
  try {
    const target = await openTarget(policyFolder, flags, environment.tools)
    try {
      await evaluateIn(environment, target, flags, kept)
    } finally {
      await target.close()
    }
  } finally {
    await closeEnvironment(environment)
  }
}

async function evaluateIn(
  environment: Environment,
  target: EvalTarget,
  flags: EvalFlags,
  kept: Knowledge | undefined,
): Promise<void> {
  const tasks = await takeTasks(environment.heldOutTasks ?? environment.tasks, flags.limit)
  if (tasks.length === 0) throw new HdpoError('ERR_CONFIG', 'there are no tasks to ask')
  // Progress goes to stderr, because --json hands stdout to another program.
  const terminal = new Terminal(process.stderr)
  const interrupt = listenForInterrupt((line) => terminal.line(line))
  const asking = {
    ...target.asking,
    tasks,
    tools: environment.tools,
    reward: environment.evaluationReward ?? environment.reward,
    rollout: rolloutOptions(flags),
    seed: flags.seed,
    signal: interrupt.signal,
  }
  try {
    let knowledge = kept
    if (flags.known) {
      terminal.status(`asking ${tasks.length} questions 8 times without tools`)
      knowledge = await measureKnown(asking)
    }
    terminal.status(`asking ${tasks.length} questions`)
    try {
      const evaluation = await evaluate({
        ...asking,
        samples: flags.samples,
        ...(knowledge && { knowledge }),
      })
      terminal.done()
      await tell(describeEvaluation(evaluation, knowledge, target, flags), evaluation, flags)
      const wrong = await describeAllWrong(evaluation.groups, (wanted) =>
        tasks.find(({ id }) => id === wanted),
      )
      if (wrong !== undefined) terminal.line(`warning: ${wrong}`)
    } catch (error) {
      terminal.done()
      if (error instanceof EndedEvaluation) await tellMeasured(error, knowledge, target, flags)
      throw error
    }
  } finally {
    interrupt.dispose()
    terminal.done()
  }
}

/** Keeps what was measured before an endpoint ended the evaluation. */
async function tellMeasured(
  { measured, message }: EndedEvaluation,
  knowledge: Knowledge | undefined,
  target: EvalTarget,
  flags: EvalFlags,
): Promise<void> {
  if (measured.groups.flat().length === 0) return
  await tell({ ...describeEvaluation(measured, knowledge, target, flags), ended: message }, measured, flags)
}

function rolloutOptions({ temperature, toolChoice, maxTurns }: EvalFlags): RolloutOptions {
  return {
    ...(temperature !== undefined && { temperature }),
    ...(toolChoice && { toolChoice }),
    ...(maxTurns !== undefined && { maxTurns }),
  }
}

async function tell(output: EvalOutput, { groups, ungraded }: Evaluation, flags: EvalFlags): Promise<void> {
  if (flags.rollouts)
    await writeFile(flags.rollouts, [...groups.flat(), ...ungraded].map(rolloutLine).join(''))
  const text = JSON.stringify(output, null, 2)
  if (flags.output) await writeFileAtomic(flags.output, `${text}\n`)
  console.log(flags.json ? text : formatEvaluation(output))
}

function describeEvaluation(
  { summary, groups, ungraded }: Evaluation,
  knowledge: Knowledge | undefined,
  target: EvalTarget,
  { samples, seed, prices }: EvalFlags,
): EvalOutput {
  const graded = groups.filter((group) => group.length > 0)
  if (graded.length === 0) {
    throw new HdpoError('ERR_UNGRADED', `no rollout could be graded; the first: ${ungraded[0]?.ungraded}`)
  }
  const latency = latencyQuantiles(graded)
  return {
    target: target.name,
    questions: summary.questions,
    samples,
    rollouts: summary.rollouts,
    ungradedRollouts: summary.ungradedRollouts,
    seed,
    measures: measureEvaluation({
      groups: graded,
      ...(knowledge && { knowledge }),
      ...(prices && { prices }),
    }),
    ...(latency && { latency }),
    calls: summary.calls,
    ends: summary.ends,
    ...(knowledge && {
      known: {
        knownQuestions: summary.knownQuestions ?? 0,
        neededQuestions: summary.neededQuestions ?? 0,
        ...keepKnowledge(knowledge),
      },
    }),
  }
}

function evaluatedEnvironment(flags: EvalFlags): Promise<Environment> {
  const { environment, tasks: path, columns, tools, seed } = flags
  const reward = rewardOf(flags)
  const tasks = path !== undefined && columns ? { path, columns } : path
  return resolveEnvironment(
    {
      ...(environment !== undefined && { environment }),
      ...(tasks !== undefined && { tasks, evaluationTasks: tasks }),
      ...(tools && { tools }),
      ...(reward && { reward }),
    },
    { seed, folder: process.cwd() },
  )
}

function rewardOf({
  answer,
  judge,
  judgeModel,
  judgeKeyVariable,
  rubric,
}: EvalFlags): RewardConfig | undefined {
  const asked = { judge, judgeModel, judgeKeyVariable, rubric }
  const [stray] = Object.entries(asked).find(([, value]) => value !== undefined) ?? []
  if (answer !== 'llm-judge') {
    if (stray === undefined) return answer && { answer }
    const flag = stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw new HdpoError(
      'ERR_CONFIG',
      `--${flag} goes with --answer llm-judge, got --answer ${answer ?? 'none'}`,
    )
  }
  if (judge === undefined || judgeModel === undefined) {
    throw new HdpoError(
      'ERR_CONFIG',
      '--answer llm-judge needs --judge <url> and --judge-model <name>: an OpenAI-compatible API that grades',
    )
  }
  return {
    answer,
    judge: {
      baseURL: judge,
      model: judgeModel,
      ...(judgeKeyVariable !== undefined && { apiKeyVariable: judgeKeyVariable }),
      ...(rubric !== undefined && { rubric }),
    },
  }
}
