// A process that does a job of a comparison without a policy: it counts to ten in a file, so that a resumed one goes on.
// SCRIPT, by job id: 'crash' ends with status 3 half way, 'kill' kills itself, 'refuse' reports a failure, 'wait' goes on when it
// is told to stop.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const [output, id] = process.argv.slice(2)
const script = JSON.parse(process.env.SCRIPT ?? '{}')
const folder = id.startsWith('start/') ? join(output, id) : join(output, 'cells', id)
const countPath = join(folder, 'count')
let stopped = false
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(0))
process.on('message', ({ kind }) => {
  if (kind === 'stop') stopped = true
})

mkdirSync(folder, { recursive: true })
const begun = existsSync(countPath) ? Number(readFileSync(countPath, 'utf8')) : 0
writeFileSync(join(folder, 'begun-at'), String(begun))
for (let step = begun + 1; step <= 10 && !stopped; step++) {
  await sleep(5)
  writeFileSync(countPath, String(step))
  process.send?.({ kind: 'progress', share: step / 10 })
  if (step !== 5) continue
  if (script[id] === 'crash') {
    console.error('out of luck')
    process.exit(3)
  }
  while (script[id] === 'wait' && !stopped) await sleep(5)
  if (script[id] === 'kill') process.kill(process.pid, 'SIGKILL')
  if (script[id] === 'refuse') {
    process.send?.({ kind: 'failed', message: 'no can do' })
    process.disconnect()
    process.exitCode = 1
    stopped = 'refused'
  }
}
if (!stopped) {
  writeFileSync(join(folder, 'result.json'), JSON.stringify({ id }))
  process.send?.({ kind: 'finished' })
} else if (stopped !== 'refused') process.send?.({ kind: 'stopped' })
if (process.connected) process.disconnect()
