// The hdpo command line. Each command lives in its own file.
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { HdpoError } from '../errors.js'
import { addBuildCommand } from './build.js'
import { addChatCommand } from './chat.js'
import { addCompareCommand } from './compare.js'
import { addConvertCommand } from './convert.js'
import { addCurateCommand } from './curate.js'
import { addDoctorCommand } from './doctor.js'
import { addEvalCommand } from './eval.js'
import { addExportCommand } from './export.js'
import { addInspectCommand } from './inspect.js'
import { addQuickstartCommand } from './quickstart.js'
import { addServeCommand } from './serve.js'
import { addSftCommand } from './sft.js'
import { addTrainCommand } from './train.js'
import { addUiCommand } from './ui.js'

export function createProgram(): Command {
  const program = new Command('hdpo')
    .description('Train tool-calling policies that know when not to call a tool')
    .version(packageVersion())
    .showHelpAfterError('(hdpo --help shows all commands, hdpo <command> --help one of them)')
    .showSuggestionAfterError()
  addQuickstartCommand(program)
  addCurateCommand(program)
  addSftCommand(program)
  addTrainCommand(program)
  addEvalCommand(program)
  addCompareCommand(program)
  addChatCommand(program)
  addServeCommand(program)
  addUiCommand(program)
  addExportCommand(program)
  addInspectCommand(program)
  addConvertCommand(program)
  addDoctorCommand(program)
  addBuildCommand(program)
  return program
}

/** Users' mistakes as one line; anything unexpected with its stack. */
export function describeError(error: unknown): string {
  const expected = error instanceof HdpoError || error instanceof TypeError || error instanceof RangeError
  if (!(error instanceof Error)) return String(error)
  return expected && process.env.HDPO_DEBUG === undefined ? error.message : (error.stack ?? error.message)
}

function packageVersion(): string {
  const manifest = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}
