// Two trainers on one run folder: one of them owns it and ends with the numbers of a run of its own, the other is refused.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../lib/core/random.js'
import { type Fault, identical, type Laboratory, refused, type Verdict, wrong } from './campaign.js'
import { startRun } from './run-process.js'

export const owners: Fault[] = [
  {
    name: 'two owners: --resume of a run that goes on',
    tries: 12,
    attempt: (...tried) => second(true, ...tried),
  },
  {
    name: 'two owners: a second run into the folder',
    tries: 6,
    attempt: (...tried) => second(false, ...tried),
  },
  { name: 'two owners: both resume at once', tries: 12, attempt: bothResume },
]

async function second(
  resume: boolean,
  laboratory: Laboratory,
  random: Random,
  index: number,
): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  return laboratory.inFolder(async (folder) => {
    const output = join(folder, 'run')
    const delay = random.next() * laboratory.whole(kind).ended.milliseconds
    let other: ReturnType<typeof startRun> | undefined
    const startOther = async () => {
      await sleep(delay)
      return startRun(laboratory.run(kind, output, resume))
    }
    const first = await startRun(laboratory.run(kind, output), {
      onMessage: (message) => {
        if ('phase' in message && message.phase === 'run') other ??= startOther()
      },
    })
    return judge(laboratory, index, output, [first, await (other ?? startOther())])
  })
}

async function bothResume(laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  return laboratory.inFolder(async (folder) => {
    const output = join(folder, 'run')
    const delay = random.next() * laboratory.whole(kind).ended.milliseconds
    await startRun(laboratory.run(kind, output), { killAt: { phase: 'run', occurrence: 1, delay } })
    const resumed = [0, random.integer(0, 300)].map(async (wait) => {
      await sleep(wait)
      return startRun(laboratory.run(kind, output, true))
    })
    return judge(laboratory, index, output, await Promise.all(resumed))
  })
}

async function judge(
  laboratory: Laboratory,
  index: number,
  output: string,
  ended: Awaited<ReturnType<typeof startRun>>[],
): Promise<Verdict> {
  const odd = ended.find((run) => run.ended !== 'finished' && run.ended !== 'refused')
  if (odd) return wrong(`one of the two ${odd.ended}: ${odd.message}`)
  const refusal = ended.find((run) => run.ended === 'refused')
  if (ended.every((run) => run.ended === 'refused')) return wrong(`both were refused: ${refusal?.message}`)
  const verdict = await laboratory.compare(laboratory.whole(laboratory.kindOf(index)).numbers, output)
  if (verdict.kind === 'wrong') return verdict
  return refusal ? refused(`${refusal.code}: ${refusal.message}`) : identical
}
