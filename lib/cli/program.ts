// The hdpo command line. Each command lives in its own file.
import { Command } from 'commander'
import { HdpoError } from '../core/errors.js'
import { describeSystemError } from '../core/system-error.js'
import { version } from '../core/version.js'
import { addBuildCommand } from './commands/build.js'
import { addChatCommand } from './commands/chat.js'
import { addCompareCommand } from './commands/compare.js'
import { addConvertCommand } from './commands/convert.js'
import { addCurateCommand } from './commands/curate.js'
import { addDemoModelCommand } from './commands/demo-model.js'
import { addDoctorCommand } from './commands/doctor.js'
import { addEvalCommand } from './commands/eval.js'
import { addExportCommand } from './commands/export.js'
import { addInitCommand } from './commands/init.js'
import { addInspectCommand } from './commands/inspect.js'
import { addQuickstartCommand } from './commands/quickstart.js'
import { addServeCommand } from './commands/serve.js'
import { addSftCommand } from './commands/sft.js'
import { addTrainCommand } from './commands/train.js'
import { addUiCommand } from './commands/ui.js'

export function createProgram(): Command {
  const program = new Command('hdpo')
    .description('Train tool-calling policies that know when not to call a tool')
    .version(version)
    .showHelpAfterError('(hdpo --help shows all commands, hdpo <command> --help one of them)')
    .showSuggestionAfterError()
  addQuickstartCommand(program)
  addInitCommand(program)
  addDemoModelCommand(program)
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

/**
 * Describes an error in one line where the user can mend it or the system refused; with its stack where it is unexpected or
 * HDPO_DEBUG is set.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const isBug = error instanceof HdpoError && error.code === 'ERR_INTERNAL'
  const line = error instanceof HdpoError && !isBug ? error.message : describeSystemError(error)
  return line === undefined || process.env.HDPO_DEBUG !== undefined ? (error.stack ?? error.message) : line
}
