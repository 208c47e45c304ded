// hdpo quickstart: the built-in task from nothing to a trained policy, with a report.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { Device } from '../native.js'
import { type BuiltInFamily, builtInFamilies } from '../tasks/built-in-families.js'
import { type QuickstartObserver, type QuickstartResult, runQuickstart } from '../trainer/quickstart-run.js'
import { quickstartSettings } from '../trainer/quickstart-settings.js'
import { comparisonRows, redundantFold } from '../trainer/report.js'
import { examples } from './examples.js'
import { deviceOption, wholeNumber } from './flags.js'
import { listenForInterrupt } from './interrupt.js'
import { policyOptions } from './policy-options.js'
import { describeStep, describeSupervisedStep, Eta } from './progress.js'
import { requireDevice } from './require-device.js'
import { startCommand } from './start-command.js'
import { duration, formatTable } from './table.js'
import { Terminal } from './terminal.js'

interface QuickstartFlags {
  environment: BuiltInFamily
  seed: number
  output: string
  steps?: number
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
      policy: policyOptions(flags),
      resume: flags.resume === true,
      signal: interrupt.signal,
      observer: new TerminalObserver(terminal, steps),
    })
    terminal.done()
    if (result) terminal.line(describeResult(result, (performance.now() - start) / 1000))
    else terminal.line(`Stopped. Go on with: ${resumeCommand(flags)}`)
  } finally {
    interrupt.dispose()
  }
}

export function resumeCommand(
  flags: Pick<QuickstartFlags, 'environment' | 'seed' | 'output' | 'device'>,
): string {
  const device = flags.device === 'cpu' ? '' : ` --device ${flags.device}`
  return `${startCommand} quickstart --resume --environment ${flags.environment} --seed ${flags.seed} --output ${flags.output}${device}`
}

class TerminalObserver implements QuickstartObserver {
  #eta: Eta | undefined

  constructor(
    private readonly terminal: Terminal,
    private readonly steps: number,
  ) {}

  stage(description: string): void {
    this.terminal.done()
    this.terminal.line(description)
    this.#eta = undefined
  }

  coldStartStep(metrics: Parameters<QuickstartObserver['coldStartStep']>[0], steps: number): void {
    this.#eta ??= new Eta(steps)
    const eta = this.#eta.after(metrics.step)
    // A line for each of some hundred steps would bury the rest of a log.
    if (this.terminal.interactive || metrics.step % 25 === 0 || metrics.step === steps) {
      this.terminal.status(describeSupervisedStep(metrics, steps, eta))
    }
  }

  trainStep(metrics: Parameters<QuickstartObserver['trainStep']>[0], steps: number): void {
    this.#eta ??= new Eta(this.steps)
    this.terminal.status(describeStep(metrics, steps, this.#eta.after(metrics.step)))
  }

  note(line: string): void {
    this.terminal.line(line)
  }
}

export function describeResult(
  { environment, report, reportPath, policyPath }: QuickstartResult,
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
    `Charts: ${reportPath}`,
    `Talk to it: ${startCommand} chat ${policyPath} --environment ${environment}`,
  ].join('\n')
}
