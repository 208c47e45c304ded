// hdpo build: compiles the native addon on this machine, where no prebuilt one fits.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { HdpoError } from '../../core/errors.js'
import { examples } from '../terminal/examples.js'

export function addBuildCommand(program: Command): void {
  program
    .command('build')
    .description('compile the native addon for this machine')
    .option('--arch <name>', 'instruction set, as g++ -march takes it (default: that of this processor)')
    .addHelpText('after', examples('hdpo build', 'hdpo build --arch x86-64-v3'))
    .action(build)
}

function build({ arch }: { arch?: string }): void {
  const script = fileURLToPath(new URL('../../../scripts/build-from-source.mjs', import.meta.url))
  const env = arch === undefined ? process.env : { ...process.env, HDPO_ARCH: arch }
  const { status, error } = spawnSync(process.execPath, [script], { stdio: 'inherit', env })
  if (error) throw error
  if (status !== 0) throw new HdpoError('ERR_BUILD', 'the addon was not built; the reason is above')
}
