// The clock jumps by a day while a run goes on, or between a kill and --resume.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Random } from '../../lib/core/random.js'
import { type Fault, type Laboratory, type Verdict, wrong } from './campaign.js'
import { type ProcessOptions, startRun } from './run-process.js'

const module = pathToFileURL(join(import.meta.dirname, 'clock-jump.mjs')).href
const day = 24 * 3600 * 1000

export const clocks: Fault[] = [
  { name: 'clock: jumps by a day during the run', tries: 12, attempt: duringRun },
  { name: 'clock: is a day off at --resume', tries: 12, attempt: atResume },
]

function jump(random: Random, after: number): ProcessOptions {
  return { preload: [module], env: { JUMP: JSON.stringify({ after, by: random.pick([-day, day]) }) } }
}

function duringRun(laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  const { ended, numbers } = laboratory.whole(kind)
  return laboratory.inFolder(async (folder) => {
    const output = join(folder, 'run')
    const run = await startRun(laboratory.run(kind, output), jump(random, random.next() * ended.milliseconds))
    if (run.ended !== 'finished') return wrong(`the run ${run.ended}: ${run.message}`)
    return laboratory.compare(numbers, output)
  })
}

function atResume(laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  const delay = random.next() * laboratory.whole(kind).ended.milliseconds
  return laboratory.inFolder(async (folder) => {
    const output = join(folder, 'run')
    await startRun(laboratory.run(kind, output), { killAt: { phase: 'run', occurrence: 1, delay } })
    return laboratory.resume(kind, output, jump(random, 0))
  })
}
