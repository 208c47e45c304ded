// Disturbs small runs and small requests in every way that happens to people, and counts what comes of it.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Random } from '../../lib/core/random.js'
import { coldStartWeights, createAtlas } from '../../lib/families.js'
import { HdpoError, Policy } from '../../lib/index.js'
import { difference, numbersOf, type RunNumbers } from './numbers.js'
import { type EndedRun, type ProcessOptions, startRun } from './run-process.js'
import { type RunKind, runKinds, type SmallRun } from './small-run-message.js'

export interface Fault {
  /** For --only. */
  name: string
  /** Tries of a whole campaign. */
  tries: number
  attempt(laboratory: Laboratory, random: Random, index: number): Promise<Verdict>
}

/**
 * Identical numbers, a refusal or warning that says what is wrong, or a fault of the product; 'taken': a file of a format without
 * checksums that somebody else may have changed on purpose, read as it stands.
 */
export interface Verdict {
  kind: 'identical' | 'refused' | 'taken' | 'wrong'
  /** The refusal, or what is wrong. */
  why: string
}

export const identical: Verdict = { kind: 'identical', why: '' }
export const refused = (why: string): Verdict => ({ kind: 'refused', why })
export const taken = (why: string): Verdict => ({ kind: 'taken', why })
export const wrong = (why: string): Verdict => ({ kind: 'wrong', why })

export interface WholeRun {
  folder: string
  ended: EndedRun
  numbers: RunNumbers
}

/** Undisturbed runs, to compare with, and a place for disturbed ones. */
export class Laboratory {
  readonly #whole = new Map<RunKind, WholeRun>()
  #count = 0

  private constructor(
    readonly folder: string,
    readonly start: string,
  ) {}

  /** Makes the policy that all runs begin with, and an undisturbed run of each kind. */
  static async open(kinds: readonly RunKind[] = runKinds): Promise<Laboratory> {
    const folder = await mkdtemp(join(tmpdir(), 'hdpo-faults-'))
    const start = join(folder, 'start')
    const { model: config, tokenizer, template } = createAtlas()
    const policy = await Policy.create({ config, tokenizer, template, threads: 1 })
    try {
      await policy.loadWeights(await coldStartWeights('atlas'))
      await policy.save(start)
    } finally {
      await policy.close()
    }
    const laboratory = new Laboratory(folder, start)
    for (const kind of kinds) laboratory.#whole.set(kind, await laboratory.#makeWhole(kind))
    return laboratory
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true })
  }

  get kinds(): RunKind[] {
    return [...this.#whole.keys()]
  }

  /** An undisturbed run of the kind. */
  whole(kind: RunKind): WholeRun {
    const whole = this.#whole.get(kind)
    if (!whole) throw new Error(`no undisturbed run ${kind} was made`)
    return whole
  }

  /** The kind of run of a try: all kinds in turn, or those of `among`. */
  kindOf(index: number, among: readonly RunKind[] = runKinds): RunKind {
    const kinds = this.kinds.filter((kind) => among.includes(kind))
    return kinds[index % kinds.length] as RunKind
  }

  async #makeWhole(kind: RunKind): Promise<WholeRun> {
    const folder = join(this.folder, `whole-${kind}`)
    const ended = await startRun(this.run(kind, folder))
    if (ended.ended !== 'finished')
      throw new Error(`the undisturbed run ${kind} ${ended.ended}: ${ended.message}`)
    return { folder, ended, numbers: await numbersOf(folder) }
  }

  run(kind: RunKind, output: string, resume = false): SmallRun {
    return { kind, start: this.start, output, resume }
  }

  /** Calls `use` with a fresh folder, which is removed afterwards. */
  async inFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
    const folder = join(this.folder, `try-${++this.#count}`)
    await mkdir(folder)
    try {
      return await use(folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** Resumes the run to its end, disturbed by the options alone; whether it has the numbers of the whole one. */
  async resume(kind: RunKind, output: string, options: ProcessOptions = {}): Promise<Verdict> {
    const { numbers } = this.whole(kind)
    const ended = await startRun(this.run(kind, output, true), options)
    if (ended.ended === 'refused') return refused(`${ended.code}: ${ended.message}`)
    if (ended.ended !== 'finished') return wrong(`the resumed run ${ended.ended}: ${ended.message}`)
    return this.compare(numbers, output, ended.warnings)
  }

  /** A difference in a file that a warning named is no silent one. */
  async compare(numbers: RunNumbers, output: string, warnings: readonly string[] = []): Promise<Verdict> {
    const named = warnings.find((warning) => warning.includes('is not as it was written'))
    try {
      const found = await numbersOf(output)
      const differs = difference(
        numbers,
        named === undefined ? found : { ...found, rollouts: numbers.rollouts },
      )
      if (differs !== undefined) return wrong(`other numbers, without a word: ${differs}`)
      return named === undefined ? identical : refused(named)
    } catch (error) {
      if (error instanceof HdpoError && named !== undefined) return refused(`${named}; ${error.message}`)
      return wrong(`the folder of the finished run cannot be read: ${(error as Error).stack}`)
    }
  }
}

export interface Tally {
  name: string
  tries: number
  identical: number
  refused: number
  taken: number
  wrong: number
  /** What was refused or wrong, with the number of the first try of that kind. */
  notes: { kind: Verdict['kind']; why: string; index: number; count: number }[]
}

export interface CampaignOptions {
  faults: readonly Fault[]
  seed: number
  /** Tries of each fault, from the number `first`. */
  triesOf(fault: Fault): number
  first?: number
  onVerdict?: (fault: Fault, index: number, verdict: Verdict) => void
}

export async function runCampaign(laboratory: Laboratory, options: CampaignOptions): Promise<Tally[]> {
  const { faults, seed, triesOf, first = 0, onVerdict } = options
  const tallies: Tally[] = []
  for (const fault of faults) {
    const tally: Tally = {
      name: fault.name,
      tries: 0,
      identical: 0,
      refused: 0,
      taken: 0,
      wrong: 0,
      notes: [],
    }
    for (let index = first; index < first + triesOf(fault); index++) {
      // Every try has random numbers of its own, so that it can be made again alone.
      const random = new Random(seed, `${fault.name} ${index}`)
      const verdict = await fault
        .attempt(laboratory, random, index)
        .catch((error: Error) => wrong(`the try itself failed: ${error.stack ?? error.message}`))
      count(tally, verdict, index)
      onVerdict?.(fault, index, verdict)
    }
    tallies.push(tally)
  }
  return tallies
}

function count(tally: Tally, verdict: Verdict, index: number): void {
  tally.tries++
  tally[verdict.kind]++
  if (verdict.kind === 'identical') return
  // Paths, sizes and numbers differ from try to try.
  const shape = (why: string) => why.replaceAll(/\/\S+\/try-\d+/g, '').replaceAll(/\d+|[0-9a-f]{64}/g, '#')
  const same = tally.notes.find(({ kind, why }) => kind === verdict.kind && shape(why) === shape(verdict.why))
  if (same) same.count++
  else tally.notes.push({ ...verdict, index, count: 1 })
}
