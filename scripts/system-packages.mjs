// The system packages that building and testing need. They are installed through apt-get where that is possible without asking
// (root on Debian or Ubuntu), otherwise named in one line.
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

export function missingPackages(packages) {
  return packages.filter((name) => !isPresent[name]())
}

/** Installs the missing packages. Throws SetUpError with what to type when this user may not install them. */
export async function installSystemPackages(missing, execute = run) {
  if (missing.length === 0) return
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) throw whatToType(missing)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await execute('apt-get', ['update', '--quiet'], { env })
  await execute('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', ...missing], { env })
  const still = missingPackages(missing)
  if (still.length > 0) throw new SetUpError(`still missing after apt-get install: ${still.join(', ')}`)
}

/** Throws SetUpError with what to type when some packages are missing. */
export function requireSystemPackages(packages) {
  const missing = missingPackages(packages)
  if (missing.length > 0) throw whatToType(missing)
}

function whatToType(missing) {
  const names = missing.join(' ')
  return new SetUpError(`missing: ${names}. Debian and Ubuntu: sudo apt-get install ${names}`)
}

function hasCommand(name) {
  return output(name, ['--version']) !== undefined
}

// Asks the compiler, because it knows where headers lie.
function hasHeader(name) {
  const source = `#if !__has_include(<${name}>)\n#error missing\n#endif\n`
  return output('c++', ['-E', '-x', 'c++', '-o', '/dev/null', '-'], source) !== undefined
}
