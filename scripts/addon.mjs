// The native addon: where it lies, and whether it loads.
import { join } from 'node:path'
import { output, root, SetUpError } from './command.mjs'

export const addonPath = join(root, 'build', 'Release', 'hdpo.node')

/** Loads the addon in a process of its own, because an addon built for another processor must not take this one down. */
export function tryAddon() {
  const script = `console.log(JSON.stringify(require(${JSON.stringify(addonPath)}).buildInfo()))`
  const printed = output(process.execPath, ['--eval', script])
  if (printed === undefined) {
    throw new SetUpError(`the addon was built but does not load; see: node --eval 'require("${addonPath}")'`)
  }
  const { compiler, instructionSet, onednn } = JSON.parse(printed)
  console.log(`hdpo: addon built: g++ ${compiler}, instruction set ${instructionSet}, oneDNN ${onednn}`)
}
