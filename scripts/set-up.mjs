// Makes a fresh clone ready to run: npm dependencies, system packages, the native addon. Does nothing, in well under a second,
// when all is there. --rebuild builds the addon whatever its stamp says.
import { ensureAddon } from './build-addon.mjs'
import { main, SetUpError } from './command.mjs'
import { ensureNodeModules } from './node-modules.mjs'

main(() => {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 12))
    throw new SetUpError(`needs Node 20.12 or later, this is ${process.version}`)
  ensureNodeModules()
  ensureAddon({ rebuild: process.argv.includes('--rebuild') })
})
