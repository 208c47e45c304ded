// What `hdpo build` runs: compiles the addon with node-gyp for this machine, in an installed package or a clone.
// The instruction set: HDPO_ARCH, as g++ -march takes it.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { tryAddon } from './addon.mjs'
import { instructionSet, main, root, run } from './command.mjs'
import { ensureSystemPackages, sourceInstallPackages } from './system-packages.mjs'

const nodeGypVersion = '11.5.0'

main(() => {
  ensureSystemPackages(sourceInstallPackages, { mayInstall: false })
  nodeGyp('configure', '--loglevel=warn', ...nodeHeaders(), '--', `-Dhdpo_arch=${instructionSet()}`)
  nodeGyp('build', '--loglevel=warn', '--jobs', 'max')
  tryAddon()
})

/** node-gyp as installed beside this package, otherwise fetched by npm. */
function nodeGyp(...args) {
  try {
    const script = createRequire(join(root, 'package.json')).resolve('node-gyp/bin/node-gyp.js')
    run(process.execPath, [script, ...args])
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    run('npm', ['exec', '--yes', `--package=node-gyp@${nodeGypVersion}`, '--', 'node-gyp', ...args])
  }
}

/** Node's own headers where they came with it; node-gyp downloads them otherwise. */
function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath))
  return existsSync(join(prefix, 'include', 'node', 'common.gypi')) ? [`--nodedir=${prefix}`] : []
}
