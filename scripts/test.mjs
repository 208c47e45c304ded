// npm test: set-up, then style and types, native tests, emulated CUDA kernels, the assembly of the CPU's kernels, CUDA kernels
// through nvcc, native tests under sanitizers, TypeScript tests, the packed package. The last line counts all tests of all stages.
// After a stage that fails no further one is begun, and the exit code is 1. `npm test -- NAME...` runs only those stages.
//
// A stage is a process of its own (test-stage.mjs). Its output is printed as a whole when it ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { root } from './command.mjs'

// Two lanes run side by side, because most stages compile on all cores and then test on one. More would take too much memory: a
// sanitized test takes gigabytes. Stages of one lane may share a build folder. TypeScript tests run alone, because they start
// engines that want every core.
const groups = [
  [['set-up']],
  [
    ['lint', 'native', 'emulation'],
    ['cpu-kernels', 'cuda-kernels', 'sanitizers', 'package'],
  ],
  [['typescript']],
]

const known = groups.flat(2)
const chosen = process.argv.slice(2)
const unknown = chosen.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`hdpo: no stage ${unknown.join(', ')}; there are ${known.join(', ')}`)
  process.exit(2)
}

const wanted = known.filter((name) => chosen.length === 0 || chosen.includes(name))
const finished = []
const failed = () => finished.some((stage) => stage.failed > 0)

async function runLane(lane) {
  for (const name of lane) if (wanted.includes(name) && !failed()) finished.push(await runStage(name))
}

async function runStage(name) {
  const start = performance.now()
  if (process.stdout.isTTY) console.log(`... ${name}`)
  const child = spawn(process.execPath, [join(root, 'scripts', 'test-stage.mjs'), name], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      if (wanted.length === 1) process.stdout.write(chunk)
      else text += chunk
    })
  }
  let counts = { passed: 0, failed: 1, skipped: 0 } // stays so when the stage crashes
  child.on('message', (message) => {
    counts = message
  })
  await once(child, 'close')
  console.log(`\n=== ${name}\n${text}`)
  return { name, ...counts, seconds: (performance.now() - start) / 1000 }
}

for (const lanes of groups) await Promise.all(lanes.map(runLane))

console.log('\n=== summary')
for (const { name, passed, failed, skipped, seconds, coreSeconds } of finished) {
  const tests =
    passed + failed + skipped === 0 ? 'ok' : `${passed} passed, ${failed} failed, ${skipped} skipped`
  const cost = coreSeconds === undefined ? '' : `${coreSeconds.toFixed(0).padStart(5)} core-s`
  console.log(`${name.padEnd(12)} ${seconds.toFixed(1).padStart(6)} s ${cost}  ${tests}`)
}
const total = (count) => finished.reduce((sum, stage) => sum + stage[count], 0)
console.log(`\n${total('passed')} passed, ${total('failed')} failed`)
if (failed()) process.exitCode = 1
