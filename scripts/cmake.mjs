// The full build, through cmake-js, in build/cmake.
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { instructionSet, root, run } from './command.mjs'

/** Builds one target of CMakeLists.txt. In CI warnings are errors. */
export function buildWithCMake(target) {
  const cmakeJs = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js')
  const folder = ['--out', join(root, 'build', 'cmake'), '--log-level', 'warn']
  const options = [
    `--CDHDPO_ARCH=${instructionSet()}`,
    `--CDHDPO_WARNINGS_AS_ERRORS=${process.env.CI ? 'ON' : 'OFF'}`,
  ]
  const parallel = ['--parallel', String(availableParallelism())]
  run(process.execPath, [cmakeJs, 'configure', ...folder, ...options])
  run(process.execPath, [cmakeJs, 'build', ...folder, '--target', target, ...parallel])
}
