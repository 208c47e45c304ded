// What building and testing need of the system. Installed through apt-get where that is possible without asking (root on
// Debian or Ubuntu), otherwise named in one line.
import { existsSync } from 'node:fs'
import { output, run, SetUpError } from './command.mjs'

const isPresent = {
  'g++': () => hasCommand('c++'),
  make: () => hasCommand('make'),
  cmake: () => hasCommand('cmake'),
  python3: () => hasCommand('python3'),
  'libdnnl-dev': () => hasHeader('dnnl.h'),
  'doctest-dev': () => hasHeader('doctest/doctest.h'),
  'clang-format': () => hasCommand('clang-format'),
  chromium: () => hasCommand('chromium'),
}

export const fullBuildPackages = ['g++', 'make', 'cmake', 'libdnnl-dev']
export const sourceInstallPackages = ['g++', 'make', 'python3', 'libdnnl-dev']
export const testPackages = [...fullBuildPackages, 'python3', 'doctest-dev', 'clang-format', 'chromium']

/** Throws SetUpError with what to type when some are missing and may not be installed, or not by this user. */
export function ensureSystemPackages(packages, { mayInstall = true } = {}) {
  const missing = packages.filter((name) => !isPresent[name]())
  if (missing.length === 0) return
  if (!mayInstall || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    const names = missing.join(' ')
    throw new SetUpError(`missing: ${names}. Debian and Ubuntu: sudo apt-get install ${names}`)
  }
  console.log(`hdpo: installing ${missing.join(', ')} with apt-get`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get', ['update', '--quiet'], { env })
  run('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', ...missing], { env })
  const still = missing.filter((name) => !isPresent[name]())
  if (still.length > 0) throw new SetUpError(`still missing after apt-get install: ${still.join(', ')}`)
}

function hasCommand(name) {
  return output(name, ['--version']) !== undefined
}

// Asks the compiler, which knows where headers lie.
function hasHeader(name) {
  const source = `#if !__has_include(<${name}>)\n#error missing\n#endif\n`
  return output('c++', ['-E', '-x', 'c++', '-o', '/dev/null', '-'], source) !== undefined
}
