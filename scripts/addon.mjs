// Builds the native addon with cmake-js when its sources, its flags, the compiler, Node or this processor have changed since.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { output, root, run, SetUpError } from './command.mjs'
import { ensureSystemPackages } from './system-packages.mjs'

export const addonPath = join(root, 'build', 'Release', 'hdpo.node')
const stampPath = join(root, 'build', 'Release', 'hdpo.stamp')

/** Builds when anything has changed, or always with `rebuild`. The instruction set: HDPO_ARCH, as g++ -march takes it. */
export function ensureAddon({ rebuild = false } = {}) {
  const stamp = addonStamp()
  if (!rebuild && existsSync(addonPath) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp)
    return
  ensureSystemPackages()
  console.log('hdpo: building the native addon')
  rmSync(stampPath, { force: true })
  buildWithCMake('hdpo_addon')
  tryAddon()
  mkdirSync(join(root, 'build', 'Release'), { recursive: true })
  // The compiler may have been installed just now.
  writeFileSync(stampPath, addonStamp())
}

/** Builds a target of CMakeLists.txt in build/cmake. */
export function buildWithCMake(target) {
  const options = [
    `--CDHDPO_ARCH=${instructionSet()}`,
    `--CDHDPO_WARNINGS_AS_ERRORS=${process.env.CI ? 'ON' : 'OFF'}`,
  ]
  const cmakeJs = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js')
  const common = ['--out', join(root, 'build', 'cmake'), '--log-level', 'warn']
  run(process.execPath, [cmakeJs, 'configure', ...common, ...options])
  run(process.execPath, [
    cmakeJs,
    'build',
    ...common,
    '--target',
    target,
    '--parallel',
    String(availableParallelism()),
  ])
}

export function instructionSet() {
  return process.env.HDPO_ARCH || 'native'
}

/** Loads the new addon in a process of its own: one built for another processor must not take this one down. */
export function tryAddon() {
  const script = `console.log(JSON.stringify(require(${JSON.stringify(addonPath)}).buildInfo()))`
  const printed = output(process.execPath, ['--eval', script])
  if (printed === undefined) {
    throw new SetUpError(`the addon was built but does not load; try: node --eval 'require("${addonPath}")'`)
  }
  const { compiler, instructionSet: set, onednn } = JSON.parse(printed)
  console.log(`hdpo: addon built: g++ ${compiler}, ${set} instructions, oneDNN ${onednn}`)
}

function addonStamp() {
  const hash = createHash('sha256')
  const files = readdirSync(join(root, 'native'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
  const nodeAddonApi = join(root, 'node_modules', 'node-addon-api', 'package.json')
  for (const file of [...files, join(root, 'CMakeLists.txt'), nodeAddonApi]) {
    hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0')
  }
  const processor = existsSync('/proc/cpuinfo')
    ? /^flags.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0]
    : cpus()[0]?.model
  const compiler = output('c++', ['--version'])
  hash.update(JSON.stringify([arch(), process.versions.modules, processor, compiler, instructionSet()]))
  return hash.digest('hex')
}
