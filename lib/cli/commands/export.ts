// hdpo export: writes a run's metrics, rollouts or tokens as a file for other tools.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { exportFormats, exportRun, exportTables } from '../../run/export/export-run.js'
import { examples } from '../terminal/examples.js'

interface ExportFlags {
  format: (typeof exportFormats)[number]
  table: (typeof exportTables)[number]
  output?: string
}

export function addExportCommand(program: Command): void {
  program
    .command('export')
    .description("write a run's metrics, rollouts or tokens as Parquet, CSV or JSONL")
    .argument('<run>', 'run folder')
    .addOption(new Option('--format <format>').choices(exportFormats).default('parquet'))
    .addOption(
      new Option('--table <table>', 'a row a step, a rollout or a token')
        .choices(exportTables)
        .default('rollouts'),
    )
    .option('--output <file>', 'default: <table>.<format> in the run folder')
    .addHelpText(
      'after',
      examples(
        'hdpo export runs/quickstart/hdpo',
        'hdpo export runs/quickstart/hdpo --table metrics --format csv',
      ),
    )
    .action(runExport)
}

async function runExport(run: string, flags: ExportFlags): Promise<void> {
  const { rows, path } = await exportRun({
    run: resolve(run),
    format: flags.format,
    table: flags.table,
    ...(flags.output !== undefined && { output: resolve(flags.output) }),
    onWarning: (message) => console.error(`warning: ${message}`),
  })
  console.log(`${rows.toLocaleString('en-US')} rows: ${path}`)
}
