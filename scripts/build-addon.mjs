// Builds the addon of a clone when its sources, its flags, the compiler, Node or this processor have changed since the last time.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, cpus } from 'node:os'
import { join } from 'node:path'
import { addonPath, tryAddon } from './addon.mjs'
import { buildWithCMake } from './cmake.mjs'
import { instructionSet, output, root, run } from './command.mjs'
import { lockedPackages } from './node-modules.mjs'

const stampPath = join(root, 'build', 'Release', 'hdpo.stamp')

export function addonIsCurrent(cuda) {
  return existsSync(addonPath) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stampOf(cuda)
}

/** Compiles the core at once, and the parts that need npm's headers once `headers` has resolved. */
export async function buildAddon({ cuda, headers, execute = run }) {
  rmSync(stampPath, { force: true })
  const stamp = stampOf(cuda)
  await buildWithCMake('hdpo_core', { cuda, execute })
  await headers
  await buildWithCMake('hdpo_addon', { cuda, execute })
  tryAddon()
  writeFileSync(stampPath, stamp)
}

/** A hash of everything that the addon is made from. It includes no path, so a moved addon stays current. */
function stampOf(cuda) {
  const sources = readdirSync(join(root, 'native'), { recursive: true })
    .filter((path) => /\.(cpp|cu|h|txt)$/.test(path))
    .sort()
    .map((path) => join('native', path))
  const hash = createHash('sha256')
  for (const path of [...sources, 'CMakeLists.txt']) {
    hash.update(`\n${path}\n`).update(readFileSync(join(root, path)))
  }
  const processor = existsSync('/proc/cpuinfo')
    ? /^(flags|Features).*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0]
    : cpus()[0]?.model
  const packages = lockedPackages()
  const headers = ['node-addon-api', 'node-api-headers'].map(
    (name) => packages[`node_modules/${name}`].version,
  )
  const compilers = [output('c++', ['--version']), cuda.compiler?.version]
  hash.update(
    JSON.stringify([arch(), process.versions.modules, processor, compilers, headers, instructionSet()]),
  )
  return hash.digest('hex')
}
