// hdpo ui: the dashboard of the runs in a folder.
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { isLoopback } from '../../http/loopback.js'
import { startUi } from '../../ui/ui-server.js'
import { examples } from '../terminal/examples.js'
import { port } from '../terminal/flags.js'
import { interrupted } from '../terminal/interrupt.js'

interface UiFlags {
  host: string
  port: number
  token?: string
}

export function addUiCommand(program: Command): void {
  program
    .command('ui')
    .description('look at runs in the browser: curves, comparisons, every rollout')
    .argument('[folder]', 'a run folder, or one with run folders in it', 'runs')
    .option('--host <address>', 'address to listen on; any but loopback needs a token', '127.0.0.1')
    .option('--port <number>', 'port; 0 takes any free one', port, 7860)
    .option(
      '--token <secret>',
      'what the page needs (better in the environment: HDPO_TOKEN; default off loopback: a random one)',
    )
    .addHelpText(
      'after',
      examples('hdpo ui', 'hdpo ui runs/quickstart', 'HDPO_TOKEN=... hdpo ui --host 0.0.0.0'),
    )
    .action(runUi)
}

async function runUi(folder: string, flags: UiFlags): Promise<void> {
  const given = flags.token ?? process.env.HDPO_TOKEN
  const token = given ?? (isLoopback(flags.host) ? undefined : randomBytes(24).toString('base64url'))
  const ui = await startUi({
    folder,
    host: flags.host,
    port: flags.port,
    ...(token !== undefined && { token }),
    onWarning: (message) => console.error(`warning: ${message}`),
  })
  console.log(ui.runs.length === 0 ? `no runs in ${folder} yet` : `runs: ${ui.runs.join(', ')}`)
  // A token that the user chose is not written to the terminal.
  console.log(given === undefined && token !== undefined ? `${ui.url}/?token=${token}` : ui.url)
  await interrupted()
  await ui.close()
}
