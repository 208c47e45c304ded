// npm test: set-up, style and types, native tests, CUDA's kernels emulated and then through nvcc, native tests under
// sanitizers, TypeScript tests, the packed package. Stops at the first stage that fails, with exit code 1; the last line
// counts all tests of all stages. `npm test -- NAME...` runs those stages alone.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensureAddon } from './build-addon.mjs'
import { capture, root, SetUpError } from './command.mjs'
import { cudaKernels } from './cuda-kernels.mjs'
import { lint } from './lint.mjs'
import { emulatedCudaTests, nativeTests, sanitizedNativeTests } from './native-tests.mjs'
import { ensureNodeModules } from './node-modules.mjs'
import { packageTests } from './package-test.mjs'
import { ensureSystemPackages, testPackages } from './system-packages.mjs'

/** Each resolves with its counts of tests, if it runs any, and throws SetUpError when it fails otherwise. */
const stages = {
  'set-up': () => {
    ensureNodeModules()
    ensureSystemPackages(testPackages)
    ensureAddon()
  },
  lint: () => lint(),
  native: nativeTests,
  emulation: emulatedCudaTests,
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

async function runStage(name) {
  const start = performance.now()
  console.log(`\n=== ${name}`)
  let counts
  try {
    counts = (await stages[name]()) ?? { passed: 0, failed: 0, skipped: 0 }
  } catch (error) {
    console.error(error instanceof SetUpError ? error.message : error)
    counts = { passed: 0, failed: 1, skipped: 0 }
  }
  return { name, ...counts, seconds: (performance.now() - start) / 1000 }
}

const chosen = process.argv.slice(2)
const unknown = chosen.filter((name) => !(name in stages))
if (unknown.length > 0) {
  console.error(`hdpo: no stage ${unknown.join(', ')}; there are ${Object.keys(stages).join(', ')}`)
  process.exit(2)
}

const finished = []
for (const name of chosen.length > 0 ? chosen : Object.keys(stages)) {
  finished.push(await runStage(name))
  if (finished.at(-1).failed > 0) break
}

console.log('\n=== summary')
for (const { name, passed, failed, skipped, seconds } of finished) {
  const tests =
    passed + failed + skipped === 0 ? 'ok' : `${passed} passed, ${failed} failed, ${skipped} skipped`
  console.log(`${name.padEnd(12)} ${seconds.toFixed(1).padStart(6)} s  ${tests}`)
}
const total = (count) => finished.reduce((sum, stage) => sum + stage[count], 0)
console.log(`\n${total('passed')} passed, ${total('failed')} failed`)
if (total('failed') > 0) process.exitCode = 1
