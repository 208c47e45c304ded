// The full build, through cmake-js, in build/cmake.
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { instructionSet, output, root, run } from './command.mjs'

/** Builds one target of CMakeLists.txt in a folder below build/, with more of its options. In CI warnings are errors. */
export function buildWithCMake(
  target,
  { folder: name = 'cmake', arch = instructionSet(), settings = {} } = {},
) {
  const cmakeJs = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js')
  const folder = ['--out', join(root, 'build', name), '--log-level', 'warn']
  const options = [
    ...Object.entries(settings).map(([option, value]) => `--CD${option}=${value}`),
    `--CDHDPO_ARCH=${arch}`,
    `--CDHDPO_WARNINGS_AS_ERRORS=${process.env.CI ? 'ON' : 'OFF'}`,
    `--CDHDPO_CUDA=${cudaSetting()}`,
  ]
  const parallel = ['--parallel', String(availableParallelism())]
  run(process.execPath, [cmakeJs, 'configure', ...folder, ...options])
  run(process.execPath, [cmakeJs, 'build', ...folder, '--target', target, ...parallel])
}

/** What nvcc says of itself; undefined where CMakeLists.txt finds none. HDPO_CUDA: AUTO (where there is nvcc), ON or OFF. */
export function cudaCompiler() {
  if (cudaSetting() === 'OFF') return undefined
  const { CUDA_HOME, CUDA_PATH } = process.env
  const folders = [CUDA_HOME, CUDA_PATH, '/usr/local/cuda'].filter(Boolean)
  const places = ['nvcc', ...folders.map((folder) => join(folder, 'bin', 'nvcc'))]
  return places.map((nvcc) => output(nvcc, ['--version'])).find((version) => version !== undefined)
}

function cudaSetting() {
  return process.env.HDPO_CUDA || 'AUTO'
}
