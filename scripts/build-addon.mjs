// Builds the addon of a clone when its sources, its flags, the compiler, Node or this processor have changed since the last time.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, cpus } from 'node:os'
import { join } from 'node:path'
import { addonPath, tryAddon } from './addon.mjs'
import { buildWithCMake, cudaCompiler } from './cmake.mjs'
import { instructionSet, output, root } from './command.mjs'
import { ensureSystemPackages, fullBuildPackages } from './system-packages.mjs'

const stampPath = join(root, 'build', 'Release', 'hdpo.stamp')

export function ensureAddon({ rebuild = false } = {}) {
  if (!rebuild && existsSync(addonPath) && readStamp() === expectedStamp()) return
  ensureSystemPackages(fullBuildPackages)
  console.log('hdpo: building the native addon')
  rmSync(stampPath, { force: true })
  const stamp = expectedStamp()
  buildWithCMake('hdpo_addon')
  tryAddon()
  writeFileSync(stampPath, stamp)
}

function readStamp() {
  return existsSync(stampPath) ? readFileSync(stampPath, 'utf8') : undefined
}

/** A hash of all that the addon is made from. */
function expectedStamp() {
  const sources = readdirSync(join(root, 'native'), { recursive: true })
    .filter((path) => /\.(cpp|cu|h|txt)$/.test(path))
    .sort()
    .map((path) => join('native', path))
  const hash = createHash('sha256')
  for (const path of [...sources, 'CMakeLists.txt', 'node_modules/node-addon-api/package.json']) {
    hash.update(`\n${path}\n`).update(readFileSync(join(root, path)))
  }
  const processor = existsSync('/proc/cpuinfo')
    ? /^(flags|Features).*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0]
    : cpus()[0]?.model
  const compilers = [output('c++', ['--version']), cudaCompiler()]
  hash.update(JSON.stringify([arch(), process.versions.modules, processor, compilers, instructionSet()]))
  return hash.digest('hex')
}
