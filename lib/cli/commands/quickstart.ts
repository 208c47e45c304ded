// hdpo quickstart: the built-in task from nothing to a trained policy, with a report.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { QuickstartObserver } from '../../experiment/quickstart/progress.js'
import { comparisonRows, redundantFold } from '../../experiment/quickstart/report.js'
import { type QuickstartResult, runQuickstart } from '../../experiment/quickstart/run.js'
import { quickstartSettings } from '../../experiment/quickstart/settings.js'
import { describeColdStart } from '../../experiment/quickstart/starting-policy.js'
import { type BuiltInFamily, builtInFamilies } from '../../families/built-in-families.js'
import type { Device } from '../../native/types.js'
import { policyOptions } from '../config/policy-options.js'
import { examples } from '../terminal/examples.js'
import { deviceOption, wholeNumber } from '../terminal/flags.js'
import { listenForInterrupt } from '../terminal/interrupt.js'
import { describeStep, describeSupervisedStep } from '../terminal/progress.js'
import { requireDevice } from '../terminal/require-device.js'
import { startCommand } from '../terminal/start-command.js'
import { duration, formatTable } from '../terminal/table.js'
import { Terminal } from '../terminal/terminal.js'

interface QuickstartFlags {
  environment: BuiltInFamily
  seed: number
  output: string
  steps?: number
  fromScratch?: boolean
  device: Device
  threads?: number
  resume?: boolean
}

export function addQuickstartCommand(program: Command): void {
  program
    .command('quickstart')
    .description(
      'cold-start a small policy on a built-in task family, train it with HDPO, and show what changed',
    )
    .addOption(
      new Option('--environment <name>', 'task family')
        .choices(Object.keys(builtInFamilies))
        .default('atlas'),
    )
    .option('--seed <number>', 'everything random follows from it', wholeNumber(0), 0)
    .option('--output <folder>', 'where both runs, the policies and the report go', 'runs/quickstart')
    .option(
      '--steps <number>',
      `HDPO steps (default: ${quickstartSettings.atlas.train.steps}, cities ${quickstartSettings.cities.train.steps})`,
      wholeNumber(1),
    )
    .option('--from-scratch', 'train the cold start too, where one comes with hdpo (atlas, seed 0)')
    .addOption(deviceOption())
    .option('--threads <number>', 'CPU threads (default: all)', wholeNumber(1))
    .option('--resume', 'go on where an interrupted quickstart stopped')
    .addHelpText(
      'after',
      examples(
        'hdpo quickstart',
        'hdpo quickstart --seed 7 --output runs/seven',
        'hdpo quickstart --environment cities --output runs/cities',
      ),
    )
    .action(quickstart)
}

async function quickstart(flags: QuickstartFlags): Promise<void> {
  requireDevice(flags.device)
  const terminal = new Terminal()
  const interrupt = listenForInterrupt((line) => terminal.line(line))
  const start = performance.now()
  try {
    const steps = flags.steps ?? quickstartSettings[flags.environment].train.steps
    const result = await runQuickstart({
      environment: flags.environment,
      seed: flags.seed,
      output: resolve(flags.output),
      steps,
      fromScratch: flags.fromScratch === true,
      policy: policyOptions(flags),
      resume: flags.resume === true,
      signal: interrupt.signal,
      observer: new TerminalObserver(terminal),
    })
    terminal.done()
    if (result) terminal.line(describeResult(result, (performance.now() - start) / 1000))
    else terminal.line(`Stopped. Go on with: ${resumeCommand(flags)}`)
  } finally {
    interrupt.dispose()
  }
}

type StartedWith = Pick<
  QuickstartFlags,
  'environment' | 'seed' | 'output' | 'steps' | 'fromScratch' | 'device'
>

export function resumeCommand(flags: StartedWith): string {
  const { environment, seed, output, steps, fromScratch, device } = flags
  return [
    `${startCommand} quickstart --resume --environment ${environment} --seed ${seed} --output ${output}`,
    ...(steps === undefined ? [] : [`--steps ${steps}`]),
    ...(fromScratch ? ['--from-scratch'] : []),
    ...(device === 'cpu' ? [] : [`--device ${device}`]),
  ].join(' ')
}

// Lines in a log: often enough to show that it goes on, seldom enough not to bury the rest.
const secondsBetweenLines = 10

class TerminalObserver implements QuickstartObserver {
  #lastLine = performance.now()

  constructor(private readonly terminal: Terminal) {}

  forecast(stages: Parameters<QuickstartObserver['forecast']>[0]): void {
    const total = stages.reduce((sum, { seconds }) => sum + seconds, 0)
    const parts = stages.map(({ title, seconds }) => `${title} ${duration(seconds)}`)
    this.terminal.line(`About ${duration(total)} on this machine: ${parts.join(', ')}`)
  }

  stage(description: string): void {
    this.terminal.done()
    this.terminal.line(description)
    this.#lastLine = performance.now()
  }

  coldStartStep(...[metrics, steps, remaining]: Parameters<QuickstartObserver['coldStartStep']>): void {
    this.#often(describeSupervisedStep(metrics, steps, duration(remaining)), metrics.step === steps)
  }

  questionsAsked(done: number, of: number, remaining: number): void {
    this.#often(`question ${done}/${of}  eta ${duration(remaining)}`, false)
  }

  trainStep(...[metrics, steps, remaining]: Parameters<QuickstartObserver['trainStep']>): void {
    this.terminal.status(describeStep(metrics, steps, duration(remaining)))
  }

  note(line: string): void {
    this.terminal.line(line)
  }

  #often(status: string, always: boolean): void {
    const now = performance.now()
    if (!this.terminal.interactive && !always && now - this.#lastLine < 1000 * secondsBetweenLines) return
    this.#lastLine = now
    this.terminal.status(status)
  }
}

export function describeResult(
  { environment, report, reportPath, policyPath, coldStart }: QuickstartResult,
  seconds: number,
): string {
  const { before, after } = report
  const rows = comparisonRows(before, after).map((row) => [row.name, row.before, row.after])
  const fold = redundantFold(before, after)
  return [
    '',
    formatTable([`Held-out questions: ${after.questions}`, 'before', 'after'], rows),
    '',
    ...(fold ? [`Redundant calls: ${fold} fewer.`] : []),
    `Took ${duration(seconds)}: ${Object.entries(report.seconds)
      .filter(([, spent]) => spent >= 0.5)
      .map(([stage, spent]) => `${stage} ${duration(spent)}`)
      .join(', ')}.`,
    ...(coldStart.shipped
      ? [
          `The cold start ${describeColdStart(coldStart)}. Train it too: ` +
            `${startCommand} quickstart --from-scratch --output runs/scratch`,
        ]
      : []),
    `Charts: ${reportPath}`,
    `Talk to it: ${startCommand} chat ${policyPath} --environment ${environment}`,
  ].join('\n')
}
