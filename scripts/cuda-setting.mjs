// Decides whether the addon of this machine has CUDA kernels, for CMakeLists.txt and the addon's stamp alike. The kernels take
// minutes to compile, so a toolkit without a GPU's driver, which many images and laptops have, is not enough.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { output, SetUpError } from './command.mjs'

const settings = ['AUTO', 'ON', 'OFF']

/** The value of HDPO_CUDA, checked. */
export function cudaSetting() {
  const setting = process.env.HDPO_CUDA || 'AUTO'
  if (!settings.includes(setting)) throw new SetUpError(`HDPO_CUDA is ${setting}: ${settings.join(', ')}`)
  return setting
}

/** Returns { compiler } when kernels are compiled, and in any case the line that says why or why not. */
export function decideCuda({ setting = cudaSetting(), driver = signOfDriver, compiler = findNvcc } = {}) {
  if (setting === 'OFF') return { line: 'CUDA kernels: left out (HDPO_CUDA=OFF)' }
  const seen = setting === 'AUTO' ? driver() : 'HDPO_CUDA=ON'
  if (seen === undefined) {
    return { line: 'CUDA kernels: left out, no NVIDIA driver here (HDPO_CUDA=ON compiles them all the same)' }
  }
  const nvcc = compiler()
  if (nvcc !== undefined) {
    return {
      compiler: nvcc,
      line: `CUDA kernels: compiled by ${nvcc.path} (${seen}; HDPO_CUDA=OFF leaves them out)`,
    }
  }
  const lack = 'no nvcc of CUDA 12 or later on the PATH, in CUDA_HOME or in /usr/local/cuda/bin'
  if (setting === 'ON') throw new SetUpError(`HDPO_CUDA is ON, but there is ${lack}`)
  return { line: `CUDA kernels: left out, a driver is here (${seen}), but ${lack}` }
}

/** What shows that there is a driver: any file that one leaves where programs look for it. */
function signOfDriver() {
  const path = ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'].find((place) =>
    existsSync(place),
  )
  if (path !== undefined) return path
  const libraries = output('ldconfig', ['-p']) ?? output('/sbin/ldconfig', ['-p']) ?? ''
  return /\blibcuda\.so\.1\b.* => (\S+)/.exec(libraries)?.[1]
}

/** Finds nvcc of CUDA 12 or later: { path, version }, where version is what nvcc prints. */
export function findNvcc() {
  const folders = [process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda'].filter(Boolean)
  for (const path of ['nvcc', ...folders.map((folder) => join(folder, 'bin', 'nvcc'))]) {
    const version = output(path, ['--version'])
    if (Number(/release (\d+)/.exec(version ?? '')?.[1]) >= 12) return { path, version }
  }
}
