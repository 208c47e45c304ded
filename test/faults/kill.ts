// kill -9 at any moment of a run, and within a checkpoint, an evaluation, the indexing and the saving of the policy; then --resume.
import type { Random } from '../../lib/core/random.js'
import { type Fault, type Laboratory, type Verdict, wrong } from './campaign.js'
import { startRun } from './run-process.js'
import type { Phase, RunKind } from './small-run-message.js'

const kill = (name: string, tries: number, attempt: Fault['attempt']): Fault => ({ name, tries, attempt })

export const kills: Fault[] = [
  kill('kill: any moment', 52, (laboratory, random, index) =>
    atAnyMoment(laboratory, random, laboratory.kindOf(index)),
  ),
  kill('kill: checkpoint', 12, within('checkpoint', 60)),
  kill('kill: evaluation', 12, within('evaluate', 40, ['weights', 'adapter'])),
  kill('kill: index', 12, within('index', 40)),
  kill('kill: save', 12, within('save', 40)),
]

function atAnyMoment(laboratory: Laboratory, random: Random, kind: RunKind): Promise<Verdict> {
  const { ended } = laboratory.whole(kind)
  return killAndResume(laboratory, random, kind, () => ({
    phase: 'run',
    occurrence: 1,
    delay: random.next() * ended.milliseconds,
  }))
}

/** Within `milliseconds` of the beginning of any occurrence of the phase. */
function within(phase: Phase, milliseconds: number, kinds?: readonly RunKind[]): Fault['attempt'] {
  return async (laboratory, random, index) => {
    const kind = laboratory.kindOf(index, kinds)
    const { ended } = laboratory.whole(kind)
    const occurrences = ended.phases.get(phase) ?? 0
    if (occurrences === 0) return wrong(`the run ${kind} has no phase ${phase}`)
    const occurrence = random.integer(1, occurrences)
    return killAndResume(laboratory, random, kind, () => ({
      phase,
      occurrence,
      delay: random.next() * milliseconds,
    }))
  }
}

/** Every third run is killed once more, at any moment after it was resumed. */
function killAndResume(
  laboratory: Laboratory,
  random: Random,
  kind: RunKind,
  when: () => { phase: Phase; occurrence: number; delay: number },
): Promise<Verdict> {
  return laboratory.inFolder(async (folder) => {
    const output = `${folder}/run`
    const first = await startRun(laboratory.run(kind, output), { killAt: when() })
    if (first.ended !== 'killed' && first.ended !== 'finished')
      return wrong(`the run ${first.ended} before it was killed: ${first.message}`)
    if (random.next() < 1 / 3) {
      const delay = random.next() * first.milliseconds
      const killAt = { phase: 'run' as const, occurrence: 1, delay }
      const second = await startRun(laboratory.run(kind, output, true), { killAt })
      if (second.ended !== 'killed' && second.ended !== 'finished')
        return wrong(`the resumed run ${second.ended} before it was killed: ${second.message}`)
    }
    return laboratory.resume(kind, output)
  })
}
