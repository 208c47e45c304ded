// What `hdpo build` runs: compiles the addon with node-gyp for this machine, in an installed package or a clone.
// HDPO_ARCH names the instruction set, as g++ -march takes it.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { tryAddon } from './addon.mjs'
import { instructionSet, main, root, run } from './command.mjs'
import { nodeHeadersFolder } from './node-headers.mjs'
import { requireSystemPackages, sourceInstallPackages } from './system-packages.mjs'

const nodeGypVersion = '11.5.0'

main(() => {
  requireSystemPackages(sourceInstallPackages)
  const headers = nodeHeadersFolder()
  const nodedir = headers === undefined ? [] : [`--nodedir=${headers}`]
  nodeGyp('configure', '--loglevel=warn', ...nodedir, '--', `-Dhdpo_arch=${instructionSet()}`)
  nodeGyp('build', '--loglevel=warn', '--jobs', 'max')
  tryAddon()
})

/** Runs the node-gyp that is installed beside this package; otherwise npm fetches it. */
function nodeGyp(...args) {
  try {
    const script = createRequire(join(root, 'package.json')).resolve('node-gyp/bin/node-gyp.js')
    run(process.execPath, [script, ...args])
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    run('npm', ['exec', '--yes', `--package=node-gyp@${nodeGypVersion}`, '--', 'node-gyp', ...args])
  }
}
