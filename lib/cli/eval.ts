// hdpo eval: a policy folder on tasks.
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { Policy } from '../policy/policy.js'
import type { RolloutOptions } from '../rollout/options.js'
import { rolloutLine } from '../rollout/rollout-line.js'
import { takeTasks } from '../tasks/task-list.js'
import { type EvaluationSummary, evaluate, type Knowledge, measureKnown } from '../trainer/evaluate.js'
import { type AnswerRule, answerRules } from './data-schema.js'
import { closeEnvironment, type Environment, resolveEnvironment } from './environment.js'
import { examples } from './examples.js'
import { columnPair, positiveNumber, wholeNumber } from './flags.js'
import { formatTable, percent } from './table.js'
import { Terminal } from './terminal.js'

interface EvalFlags {
  environment?: string
  tasks?: string
  columns?: Record<string, string>
  tools?: string[]
  answer?: Exclude<AnswerRule, 'llm-judge'>
  samples: number
  known?: boolean
  limit?: number
  temperature?: number
  toolChoice?: 'auto' | 'none' | 'required'
  seed: number
  threads?: number
  json?: boolean
  rollouts?: string
}

export function addEvalCommand(program: Command): void {
  program
    .command('eval')
    .description('accuracy and tool calls of a policy on tasks')
    .argument('<policy>', 'policy folder')
    .option('--environment <name>', 'atlas, or a module; its held-out tasks are asked')
    .option('--tasks <file>', 'JSONL or Parquet, instead of an environment')
    .option('--columns <pairs...>', 'of the tasks file: question=prompt answer=gold', columnPair)
    .option('--tools <names...>', 'built-in tools and modules')
    .addOption(
      new Option('--answer <rule>', 'how answers are compared').choices(
        answerRules.filter((rule) => rule !== 'llm-judge'),
      ),
    )
    .option('--samples <number>', 'rollouts of each task', wholeNumber(1), 1)
    .option('--known', 'first ask 8 times without tools, then tell redundant calls from needed ones')
    .option('--limit <number>', 'ask only the first tasks', wholeNumber(1))
    .option('--temperature <number>', 'default: 1', positiveNumber)
    .addOption(new Option('--tool-choice <choice>', 'default: auto').choices(['auto', 'none', 'required']))
    .option('--seed <number>', 'of sampling, and of the environment', wholeNumber(0), 0)
    .option('--threads <number>', 'CPU threads (default: all)', wholeNumber(1))
    .option('--rollouts <file>', 'write every rollout as JSONL')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples(
        'hdpo eval runs/quickstart/hdpo/policy --environment atlas --known --samples 4',
        'hdpo eval ./my-agent --tasks questions.jsonl --tools calculator --json',
        'hdpo eval ./my-agent --tasks test.parquet --columns question=prompt answer=gold',
      ),
    )
    .action(runEval)
}

async function runEval(policyFolder: string, flags: EvalFlags): Promise<void> {
  const environment = await evaluatedEnvironment(flags)
  try {
    await evaluateIn(environment, policyFolder, flags)
  } finally {
    await closeEnvironment(environment)
  }
}

async function evaluateIn(environment: Environment, policyFolder: string, flags: EvalFlags): Promise<void> {
  const tasks = await takeTasks(environment.heldOutTasks ?? environment.tasks, flags.limit)
  const policy = await Policy.load(resolve(policyFolder), flags.threads ? { threads: flags.threads } : {})
  // Progress goes beside the results, which --json hands to another program.
  const terminal = new Terminal(process.stderr)
  try {
    const rollout: RolloutOptions = {
      ...(flags.temperature !== undefined && { temperature: flags.temperature }),
      ...(flags.toolChoice && { toolChoice: flags.toolChoice }),
    }
    const asking = {
      policy,
      tasks,
      tools: environment.tools,
      reward: environment.evaluationReward ?? environment.reward,
      rollout,
      seed: flags.seed,
    }
    let knowledge: Knowledge | undefined
    if (flags.known) {
      terminal.status(`asking ${tasks.length} questions without tools`)
      knowledge = await measureKnown(asking)
    }
    terminal.status(`asking ${tasks.length} questions`)
    const { summary, groups } = await evaluate({
      ...asking,
      samples: flags.samples,
      ...(knowledge && { knowledge }),
    })
    terminal.done()
    if (flags.rollouts) await writeFile(flags.rollouts, groups.flat().map(rolloutLine).join(''))
    console.log(flags.json ? JSON.stringify(summary, null, 2) : formatSummary(summary))
  } finally {
    terminal.done()
    await policy.close()
  }
}

function evaluatedEnvironment({
  environment,
  tasks: path,
  columns,
  tools,
  answer,
  seed,
}: EvalFlags): Promise<Environment> {
  const tasks = path !== undefined && columns ? { path, columns } : path
  return resolveEnvironment(
    {
      ...(environment !== undefined && { environment }),
      ...(tasks !== undefined && { tasks, evaluationTasks: tasks }),
      ...(tools && { tools }),
      ...(answer && { reward: { answer } }),
    },
    { seed, folder: process.cwd() },
  )
}

export function formatSummary(summary: EvaluationSummary): string {
  const failed = Object.entries(summary.calls).filter(([outcome, count]) => outcome !== 'ok' && count > 0)
  const rows: [string, string][] = [
    ['questions', String(summary.questions)],
    ['rollouts', String(summary.rollouts)],
    ['accuracy', percent(summary.accuracy)],
    ['well-formed', percent(summary.format)],
    ['calls per rollout', summary.callsPerRollout.toFixed(2)],
    ['rollouts that call a tool', percent(summary.callShare)],
    ['tool cost per 1,000 questions', (1000 * summary.costPerRollout).toPrecision(4)],
    ['tool seconds per 1,000 questions', (1000 * (summary.toolSecondsPerRollout ?? 0)).toPrecision(4)],
    ...(summary.ungradedRollouts > 0
      ? [['rollouts not graded', String(summary.ungradedRollouts)] as [string, string]]
      : []),
    ...failed.map(([outcome, count]): [string, string] => [`calls: ${outcome}`, String(count)]),
  ]
  if (summary.knownQuestions !== undefined) {
    rows.push(
      [`redundant-call rate (${summary.knownQuestions} known)`, percent(summary.redundantCallRate)],
      [`needed-call rate (${summary.neededQuestions ?? 0} needed)`, percent(summary.neededCallRate)],
    )
  }
  return formatTable(['measure', 'value'], rows)
}
