// What the build needs of the system: a compiler, CMake and oneDNN; the tests need doctest and clang-format as well. Installed
// through apt-get where that is possible without asking (root on Debian or Ubuntu), otherwise named in one line.
import { existsSync } from 'node:fs'
import { output, run, SetUpError } from './command.mjs'

const forBuild = [
  { package: 'g++', present: () => hasCommand('c++') },
  { package: 'make', present: () => hasCommand('make') },
  { package: 'cmake', present: () => hasCommand('cmake') },
  { package: 'libdnnl-dev', present: () => hasHeader('dnnl.h') },
]
const forTests = [
  { package: 'doctest-dev', present: () => hasHeader('doctest/doctest.h') },
  { package: 'clang-format', present: () => hasCommand('clang-format') },
]

export function ensureSystemPackages({ tests = false } = {}) {
  const needed = tests ? [...forBuild, ...forTests] : forBuild
  const missing = needed.filter(({ present }) => !present()).map((need) => need.package)
  if (missing.length === 0) return
  const install = ['install', '--yes', '--no-install-recommends', ...missing]
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new SetUpError(
      `missing: ${missing.join(', ')}. Debian and Ubuntu: sudo apt-get install ${missing.join(' ')}`,
    )
  }
  console.log(`hdpo: installing ${missing.join(', ')} with apt-get`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get', ['update', '--quiet'], { env })
  run('apt-get', [...install, '--quiet'], { env })
  // The compiler comes first in the list: headers are looked for with it.
  const still = needed.filter(({ present }) => !present()).map((need) => need.package)
  if (still.length > 0) throw new SetUpError(`still missing after apt-get: ${still.join(', ')}`)
}

function hasCommand(name) {
  return output(name, ['--version']) !== undefined
}

function hasHeader(name) {
  return (
    output(
      'c++',
      ['-E', '-x', 'c++', '-o', '/dev/null', '-'],
      `#if !__has_include(<${name}>)\n#error\n#endif\n`,
    ) !== undefined
  )
}
