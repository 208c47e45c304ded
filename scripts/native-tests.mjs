// Builds and runs the native tests: once as users run the library, once slower with assertions, AddressSanitizer and UBSan.
import { join } from 'node:path'
import { buildWithCMake } from './cmake.mjs'
import { capture, root } from './command.mjs'
import { fuzzNative, sanitized } from './fuzz-native.mjs'

export async function nativeTests() {
  await buildWithCMake('hdpo_native_tests')
  return runDoctest(join('build', 'cmake', 'hdpo_native_tests'))
}

/** Runs CUDA's kernels and the backend over them thread by thread on the host. No GPU and no nvcc are needed. */
export async function emulatedCudaTests() {
  await buildWithCMake('hdpo_cuda_emulation_tests')
  return runDoctest(join('build', 'cmake', 'hdpo_cuda_emulation_tests'))
}

/** Tests the CPU alone, and feeds random bytes to what reads files. Warnings are no errors here, because instrumented code draws some that plain code does not. */
export async function sanitizedNativeTests() {
  await buildWithCMake('hdpo_native_tests', sanitized)
  const counts = await runDoctest(join('build', 'sanitize', 'hdpo_native_tests'), {
    UBSAN_OPTIONS: 'print_stacktrace=1',
  })
  const { failed } = await fuzzNative({ seconds: 20, seed: 1 })
  return { ...counts, passed: counts.passed + 1 - failed, failed: counts.failed + failed }
}

async function runDoctest(program, env) {
  // Threads must not spin between two small kernels, because other stages want the cores.
  const { code, text } = await capture(join(root, program), [], {
    env: { OMP_WAIT_POLICY: 'passive', ...env },
  })
  // The runner's last lines read: [doctest] test cases: 12 | 12 passed | 0 failed | 0 skipped
  const counts = /test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/.exec(text)
  if (!counts) return { passed: 0, failed: 1, skipped: 0 } // it crashed before it could count
  const [passed, failed, skipped] = counts.slice(1).map(Number)
  // A sanitizer that has found a leak ends the process with an error after all tests have passed.
  return { passed, failed: code === 0 ? failed : Math.max(failed, 1), skipped }
}
