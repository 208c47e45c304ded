// hdpo curate: makes cold-start and RL sets from tasks and tool traces.
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type CurationSummary, checkCurationFolder, curate, curateShape } from '../../curation/curate.js'
import { Policy } from '../../policy/policy.js'
import { loadConfig } from '../config/config.js'
import { curateSchema } from '../config/config-schema.js'
import { closeEnvironment, resolveConversations, resolveEnvironment } from '../config/environment.js'
import { policyOptions } from '../config/policy-options.js'
import { startFolder } from '../config/policy-schema.js'
import { judgeOptions } from '../config/reward.js'
import { examples } from '../terminal/examples.js'
import { formatTable, percent } from '../terminal/table.js'
import { Terminal } from '../terminal/terminal.js'

export function addCurateCommand(program: Command): void {
  program
    .command('curate')
    .description('measure what a policy knows, sort tool traces, write the cold-start and RL sets')
    .argument('<config>', 'YAML or TypeScript file')
    .option('--resume', 'go on with what a stopped curation left in the folder')
    .option('--output <folder>', 'folder for the sets, instead of the one in the config')
    .addHelpText(
      'after',
      examples(
        'hdpo curate curate.yaml',
        'hdpo curate curate.yaml --resume',
        'hdpo curate curate.yaml --output data/curated',
      ),
    )
    .action(runCurate)
}

async function runCurate(path: string, flags: { output?: string; resume?: boolean }): Promise<void> {
  const { config, folder } = await loadConfig(path, curateSchema)
  const output = resolve(flags.output ?? resolve(folder, config.output))
  await checkCurationFolder(output, flags)
  const terminal = new Terminal(process.stderr)
  const environment = await resolveEnvironment(config, { seed: curateShape.seed.parse(config.seed), folder })
  let policy: Policy | undefined
  try {
    const source = config.traces ?? environment.conversations
    const warn = (message: string) => terminal.line(`warning: ${message}`)
    const traces = source ? await resolveConversations(source, folder, warn) : []
    policy = await Policy.load(startFolder(config, path, folder), policyOptions(config, folder))
    const { rationaleJudge, rollout, samples, seed } = config
    const summary = await curate({
      policy,
      tasks: environment.tasks,
      tools: environment.tools,
      reward: environment.reward,
      traces,
      output,
      resume: flags.resume === true,
      ...(rollout && { rollout }),
      ...(samples !== undefined && { samples }),
      ...(seed !== undefined && { seed }),
      ...(rationaleJudge && {
        rationale: {
          ...judgeOptions(rationaleJudge, folder),
          ...(rationaleJudge.rubric !== undefined && { rubric: rationaleJudge.rubric }),
        },
      }),
      onProgress: ({ phase, done, total }) => {
        if (terminal.interactive || done === total) terminal.status(`${phase} ${done}/${total}`)
      },
    })
    terminal.done()
    console.log(formatCuration(summary))
    console.log(`sets: ${output}`)
  } finally {
    terminal.done()
    await policy?.close()
    await closeEnvironment(environment)
  }
}

function formatCuration(summary: CurationSummary): string {
  const { knowledge, dropped } = summary
  const share = (count: number, of: number) => percent(of === 0 ? undefined : count / of)
  const task = (name: string, count: number) => [name, count, share(count, summary.tasks)]
  const trace = (name: string, count: number) => [name, count, share(count, summary.traces)]
  return formatTable(
    ['', 'count', 'share'],
    [
      task('tasks', summary.tasks),
      task('  known without tools', knowledge.known),
      task('  partly known', knowledge.partly),
      task('  needed', knowledge.needed),
      task('  not graded', knowledge.ungraded),
      trace('traces', summary.traces),
      trace('  kept for the cold start', summary.keptTraces),
      ...Object.entries(dropped)
        .filter(([, count]) => count > 0)
        .map(([reason, count]) => trace(`  dropped: ${reason}`, count)),
      trace('  of questions that are no task', summary.unmatchedTraces),
    ],
  )
}
