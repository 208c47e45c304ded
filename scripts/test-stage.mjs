// Runs one stage of npm test in a process of its own, and sends its counts of tests to test.mjs.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { capture, root, SetUpError } from './command.mjs'
import { cpuKernels } from './cpu-kernels.mjs'
import { cudaKernels } from './cuda-kernels.mjs'
import { lint } from './lint.mjs'
import { emulatedCudaTests, nativeTests, sanitizedNativeTests } from './native-tests.mjs'
import { packageTests } from './package-test.mjs'
import { setUp } from './set-up.mjs'
import { testPackages } from './system-packages.mjs'

/** Each stage resolves with its counts of tests, if it runs any. It throws SetUpError when it fails in another way. */
const stages = {
  'set-up': () => setUp({ packages: testPackages }),
  lint: () => lint(),
  native: nativeTests,
  emulation: emulatedCudaTests,
  'cpu-kernels': cpuKernels,
  'cuda-kernels': cudaKernels,
  sanitizers: sanitizedNativeTests,
  typescript: typescriptTests,
  package: packageTests,
}

async function typescriptTests() {
  const results = join(root, 'build', 'vitest.json')
  rmSync(results, { force: true })
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`]
  const { code } = await capture(process.execPath, [vitest, 'run', ...reporters])
  if (!existsSync(results)) return { passed: 0, failed: 1, skipped: 0 } // it crashed
  const counts = JSON.parse(readFileSync(results, 'utf8'))
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = counts
  // A file that does not load, or an error between tests, fails the run without failing a test.
  return { passed, failed: code === 0 ? failed : Math.max(failed, 1), skipped }
}

/** Seconds of a core that this stage and all that it has run took, as Linux counts them; undefined elsewhere. */
function coreSeconds() {
  if (!existsSync('/proc/self/stat')) return undefined
  // The fields after the command's name, which ends with the last parenthesis, are clock ticks, a hundred per second.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100
}

let counts
try {
  counts = (await stages[process.argv[2]]()) ?? { passed: 0, failed: 0, skipped: 0 }
} catch (error) {
  console.error(error instanceof SetUpError ? error.message : error)
  counts = { passed: 0, failed: 1, skipped: 0 }
}
process.send({ ...counts, coreSeconds: coreSeconds() }, () => process.disconnect())
