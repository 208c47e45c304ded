// hdpo compare: runs a grid of algorithms, weights, settings and seeds, and writes its report.
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../../core/errors.js'
import { whileHeld } from '../../core/folder-lock.js'
import { runCell } from '../../experiment/compare/cell-job.js'
import { paretoChart } from '../../experiment/compare/charts.js'
import {
  type CompareObserver,
  type CompareProgress,
  compare,
  readResults,
} from '../../experiment/compare/compare.js'
import { type Grid, type Job, jobFolder, jobsOf } from '../../experiment/compare/grid.js'
import type { JobContext } from '../../experiment/compare/job-context.js'
import type { QueueResult } from '../../experiment/compare/queue.js'
import { rangeChart } from '../../experiment/compare/range-chart.js'
import { renderCompareReport } from '../../experiment/compare/report.js'
import { resultsCsv } from '../../experiment/compare/results-table.js'
import { serveJob } from '../../experiment/compare/serve-job.js'
import { runStart } from '../../experiment/compare/start-job.js'
import { armsOf } from '../../experiment/compare/statistics.js'
import { type GridConfig, gridSchema, toGrid } from '../config/compare-schema.js'
import { loadConfig } from '../config/config.js'
import { closeEnvironment, loadEnvironment } from '../config/environment.js'
import { examples } from '../terminal/examples.js'
import { wholeNumber } from '../terminal/flags.js'
import { listenForInterrupt } from '../terminal/interrupt.js'
import { startCommand } from '../terminal/start-command.js'
import { duration } from '../terminal/table.js'
import { Terminal } from '../terminal/terminal.js'

interface CompareFlags {
  output: string
  resume?: boolean
  report?: boolean
  processes?: number
  job?: string
}

export function addCompareCommand(program: Command): void {
  program
    .command('compare')
    .description('run a grid of algorithms, weights and seeds, and write one report')
    .argument('<grid>', 'YAML or TypeScript file')
    .option('--output <folder>', 'where runs, results and the report go', 'runs/compare')
    .option('--resume', 'keep finished cells, go on with interrupted ones, try failed ones again')
    .option('--report', 'only write the report of what is finished')
    .option('--processes <number>', 'cells at a time, instead of the number in the grid', wholeNumber(1))
    .option('--job <id>', 'run one cell or start in this process, as the command itself does in others')
    .addHelpText(
      'after',
      examples(
        'hdpo compare grid.yaml --output runs/grid',
        'hdpo compare grid.yaml --output runs/grid --resume',
      ),
    )
    .action(runCompare)
}

async function runCompare(path: string, flags: CompareFlags): Promise<void> {
  const { config, folder } = await loadConfig(path, gridSchema)
  if ((config.policy === undefined) === (config.coldStart === undefined)) {
    throw new HdpoError(
      'ERR_CONFIG',
      `${path}: exactly one of policy (a folder) and coldStart (training of a fresh model) must be given`,
    )
  }
  const grid = toGrid({
    ...config,
    ...(config.policy !== undefined && { policy: resolve(folder, config.policy) }),
  })
  const output = resolve(flags.output)
  if (flags.job !== undefined) return runJob(findJob(grid, flags.job), { grid, config, folder, output })
  if (flags.report) return writeReport(grid, output)
  await whileHeld(output, async () => {
    await runGrid({ path, flags, grid, config, output })
    await writeReport(grid, output)
  })
}

interface GridRun {
  path: string
  flags: CompareFlags
  grid: Grid
  config: GridConfig
  output: string
}

async function runGrid({ path, flags, grid, config, output }: GridRun): Promise<void> {
  const terminal = new Terminal()
  const interrupt = listenForInterrupt((line) => terminal.line(line))
  try {
    const result = await compare({
      grid,
      output,
      processes: flags.processes ?? config.processes ?? 1,
      resume: flags.resume === true,
      signal: interrupt.signal,
      command: (job) => ({
        script: process.argv[1] as string,
        arguments: ['compare', resolve(path), '--output', output, '--job', job.id],
      }),
      observer: new TerminalObserver(terminal),
    })
    terminal.done()
    describeEnd(result, terminal, `${startCommand} compare ${path} --output ${flags.output} --resume`)
  } finally {
    interrupt.dispose()
  }
}

function describeEnd({ failed, left }: QueueResult, terminal: Terminal, command: string): void {
  for (const [id, message] of failed) terminal.line(`failed: ${id}: ${message}`)
  if (failed.size > 0) process.exitCode = 1
  if (failed.size + left.length > 0) {
    terminal.line(`${failed.size} jobs failed, ${left.length} are left. Go on with: ${command}`)
  }
}

class TerminalObserver implements CompareObserver {
  constructor(private readonly terminal: Terminal) {}

  #lastStatus = Number.NEGATIVE_INFINITY

  progress({ share, secondsLeft, cells, cellsFinished, running }: CompareProgress): void {
    // Several processes report every step; a log needs a line only now and then.
    const now = performance.now()
    if (!this.terminal.interactive && now - this.#lastStatus < 30_000) return
    this.#lastStatus = now
    const at = running.map((job) => `${job.id} ${Math.round(100 * job.share)}%`).join(', ')
    const eta = secondsLeft === undefined ? '-' : duration(secondsLeft)
    this.terminal.status(
      `${cellsFinished}/${cells} cells  ${(100 * share).toFixed(1)}%  eta ${eta}  ${at}`.trimEnd(),
    )
  }

  finished(job: Job): void {
    this.terminal.line(`finished: ${job.id}`)
  }

  failed(job: Job, message: string): void {
    this.terminal.line(`failed: ${job.id}: ${message}`)
  }

  warning(job: Job, message: string): void {
    this.terminal.line(`warning: ${job.id}: ${message}`)
  }
}

function findJob(grid: Grid, id: string): Job {
  const job = jobsOf(grid).find((each) => each.id === id)
  if (!job) throw new HdpoError('ERR_CONFIG', `--job: the grid has no job "${id}"`)
  return job
}

interface JobRun {
  grid: Grid
  config: GridConfig
  folder: string
  output: string
}

// A process that a killed comparison left behind ends after its current step.
const lockPatience = 120_000

function runJob(job: Job, { grid, config, folder, output }: JobRun): Promise<void> {
  return serveJob(config.nice ?? 10, async (served) => {
    const seed = job.kind === 'start' ? job.seed : job.cell.seed
    const settings = job.kind === 'start' ? {} : job.cell.settings
    const work = async () => {
      const environment = await loadEnvironment(config.environment, { seed, folder, settings })
      const context: JobContext = { grid, environment, output, ...served }
      try {
        if (job.kind === 'start') await runStart(context, job.seed)
        else await runCell(context, job.cell)
      } finally {
        await closeEnvironment(environment)
      }
    }
    await whileHeld(jobFolder(output, job), work, { patience: lockPatience, signal: served.signal })
  })
}

async function writeReport(grid: Grid, output: string): Promise<void> {
  const results = await readResults(grid, output)
  const arms = armsOf(results.cells, results.starts)
  const title = 'HDPO compared'
  const files: Record<string, string> = {
    'report.html': renderCompareReport({ title, grid, results }),
    'results.csv': resultsCsv(results.cells),
    'results.json': `${JSON.stringify(results)}\n`,
    'ranges.svg': `${rangeChart('Weights that reach the targets', arms, grid.targets)}\n`,
    ...Object.fromEntries(
      [...new Set(arms.map(({ setting }) => setting))].map((setting) => [
        `pareto-${setting}.svg`,
        `${paretoChart(
          `Accuracy against calls: ${setting}`,
          arms.filter((arm) => arm.setting === setting),
          results.starts,
        )}\n`,
      ]),
    ),
  }
  for (const [name, text] of Object.entries(files)) await writeFileAtomic(join(output, name), text)
  console.log(
    `${results.cells.length} cells finished, ${results.missing.length} missing. Report: ${join(output, 'report.html')}`,
  )
}
