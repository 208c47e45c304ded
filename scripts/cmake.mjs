// The full build, through CMake, in folders below build/.
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { instructionSet, output, root, run } from './command.mjs'
import { decideCuda } from './cuda-setting.mjs'

/**
 * Builds one target of CMakeLists.txt in a folder below build/; `settings` are further CMake options. In CI warnings are errors.
 * `execute` runs a command, as `run` does.
 */
export async function buildWithCMake(
  target,
  { folder = 'cmake', arch = instructionSet(), cuda = decideCuda(), settings = {}, execute = run } = {},
) {
  const options = {
    CMAKE_BUILD_TYPE: 'Release',
    HDPO_ARCH: arch,
    HDPO_WARNINGS_AS_ERRORS: process.env.CI ? 'ON' : 'OFF',
    HDPO_CUDA: cuda.compiler ? 'ON' : 'OFF',
    ...(cuda.compiler && { CMAKE_CUDA_COMPILER: cuda.compiler.path }),
    ...settings,
  }
  const build = join(root, 'build', folder)
  await configure(root, build, options, execute)
  const parallel = ['--parallel', String(availableParallelism())]
  await execute('cmake', ['--build', build, '--target', target, ...parallel])
}

/** Configures a build folder. One that was configured for another source folder (the checkout was moved or copied) is made anew. */
export async function configure(source, build, options, execute = run) {
  if (configuredElsewhere(source, build)) rmSync(build, { recursive: true })
  const fresh = !existsSync(join(build, 'CMakeCache.txt'))
  const generator = fresh && output('ninja', ['--version']) !== undefined ? ['-G', 'Ninja'] : []
  const definitions = Object.entries(options).map(([name, value]) => `-D${name}=${value}`)
  await execute('cmake', ['-S', source, '-B', build, ...generator, ...definitions])
}

// CMake's cache is full of absolute paths, and CMake refuses one that does not fit.
function configuredElsewhere(source, build) {
  const cache = join(build, 'CMakeCache.txt')
  if (!existsSync(cache)) return false
  const text = readFileSync(cache, 'utf8')
  const recorded = (name) => new RegExp(`^${name}:INTERNAL=(.*)$`, 'm').exec(text)?.[1]
  return !(isSame(recorded('CMAKE_HOME_DIRECTORY'), source) && isSame(recorded('CMAKE_CACHEFILE_DIR'), build))
}

function isSame(recorded, path) {
  return recorded !== undefined && existsSync(recorded) && realpathSync(recorded) === realpathSync(path)
}
