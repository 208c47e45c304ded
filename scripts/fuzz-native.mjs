// Feeds random bytes to the native readers of files under AddressSanitizer and UBSan (test/fuzz/native/). By itself:
// node scripts/fuzz-native.mjs [SECONDS [SEED]]; npm run fuzz does it among the rest, npm test for twenty seconds.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildWithCMake } from './cmake.mjs'
import { capture, root } from './command.mjs'

/** Compiles as the sanitized native tests do, in the same folder. */
export const sanitized = {
  folder: 'sanitize',
  cuda: {},
  settings: { HDPO_SANITIZE: 'address,undefined', HDPO_WARNINGS_AS_ERRORS: 'OFF' },
}

/** Resolves with how many inputs ran, and 1 or 0 failures: the first one ends the run, and its input stays in build/fuzz/. */
export async function fuzzNative({ seconds, seed }) {
  await buildWithCMake('hdpo_fuzz', sanitized)
  const folder = join(root, 'build', 'fuzz')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const program = join(root, 'build', 'sanitize', 'hdpo_fuzz')
  const args = usesLibFuzzer()
    ? [`-max_total_time=${Math.ceil(seconds)}`, `-seed=${seed}`, '-timeout=20', `-artifact_prefix=${folder}/`]
    : ['--seconds', String(seconds), '--seed', String(seed), '--keep', folder]
  const { code, text } = await capture(program, args, { env: { UBSAN_OPTIONS: 'print_stacktrace=1' } })
  const found = /(\d+) runs,|Done (\d+) runs/.exec(text)
  if (code !== 0) console.log(`to run that input again: ${program} ${folder}/<file>`)
  return { runs: Number(found?.[1] ?? found?.[2] ?? 0), failed: code === 0 && found ? 0 : 1 }
}

/** As CMakeLists.txt decides it. */
function usesLibFuzzer() {
  const cache = readFileSync(join(root, 'build', 'sanitize', 'CMakeCache.txt'), 'utf8')
  return /^CMAKE_CXX_COMPILER:.*clang/m.test(cache)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [seconds = '20', seed = '1'] = process.argv.slice(2)
  const { runs, failed } = await fuzzNative({ seconds: Number(seconds), seed: Number(seed) })
  console.log(`native: ${runs} runs, ${failed} failures`)
  process.exitCode = failed
}
