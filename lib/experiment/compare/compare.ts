// hdpo compare: runs the jobs of a grid in an output folder and collects the finished results.
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../../core/errors.js'
import { readJsonObject } from '../../core/json-file.js'
import { runExists } from '../../run/run-folder.js'
import { type Grid, type Job, jobsOf, resultPath } from './grid.js'
import { type JobCommand, runJobProcess } from './job-process.js'
import { type QueueResult, workOff } from './queue.js'
import { type CellResult, readResult, type StartResult } from './result.js'

interface CompareOptions {
  grid: Grid
  output: string
  /** Jobs at once. */
  processes: number
  resume: boolean
  signal: AbortSignal
  command: (job: Job) => JobCommand
  observer: CompareObserver
}

export interface CompareObserver {
  /**
   * Called with the share of the comparison that is done, 0 to 1, and the seconds left at the speed so far (undefined while
   * unknown).
   */
  progress(state: CompareProgress): void
  finished(job: Job): void
  failed(job: Job, message: string): void
  warning(job: Job, message: string): void
}

export interface CompareProgress {
  share: number
  secondsLeft: number | undefined
  cellsFinished: number
  cells: number
  running: { id: string; share: number }[]
}

export async function compare(options: CompareOptions): Promise<QueueResult> {
  const { grid, output, processes, signal, observer } = options
  const jobs = jobsOf(grid)
  await claimFolder(options)
  const finished = new Set(jobs.filter((job) => existsSync(resultPath(output, job))).map(({ id }) => id))
  const tracker = new ProgressTracker(jobs, finished)
  const tell = () => observer.progress(tracker.state())
  tell()
  return workOff({
    jobs,
    finished,
    processes,
    signal,
    run: (job) => {
      tracker.begin(job)
      return runJobProcess(job, {
        output,
        signal,
        command: options.command,
        warn: (message) => observer.warning(job, message),
        progress: (share) => {
          tracker.reach(job, share)
          tell()
        },
      })
    },
    ended: (job, end) => {
      tracker.end(job, end.kind === 'finished')
      if (end.kind === 'finished') observer.finished(job)
      if (end.kind === 'failed') observer.failed(job, end.message)
      tell()
    },
  })
}

export interface FinishedResults {
  starts: StartResult[]
  cells: CellResult[]
  /** Ids of cells without a result. */
  missing: string[]
}

export async function readResults(grid: Grid, output: string): Promise<FinishedResults> {
  const found: FinishedResults = { starts: [], cells: [], missing: [] }
  for (const job of jobsOf(grid)) {
    const result = await readResult(output, job)
    if (!result) {
      if (job.kind === 'cell') found.missing.push(job.id)
    } else if (job.kind === 'start') found.starts.push(result as StartResult)
    else found.cells.push(result as CellResult)
  }
  return found
}

/**
 * Writes the grid to the folder, which holds one grid only. A resumed grid may add seeds, settings, algorithms and targets; what
 * all cells share must stay the same.
 */
async function claimFolder({ grid, output, resume }: CompareOptions): Promise<void> {
  await mkdir(output, { recursive: true })
  const path = join(output, 'grid.json')
  if (existsSync(path)) {
    if (!resume) throw runExists(output, 'a comparison')
    checkSameCells((await readJsonObject(path, 'ERR_RESUME')) as unknown as Grid, grid)
  }
  await writeFileAtomic(path, `${JSON.stringify(grid, null, 2)}\n`)
}

const shared = ['coldStart', 'policy', 'train', 'rollout', 'evaluation', 'threads'] as const

function checkSameCells(before: Grid, now: Grid): void {
  // Compared in its JSON form, without undefined.
  const given = JSON.parse(JSON.stringify(now)) as Grid
  const changed = shared.filter((key) => !isDeepStrictEqual(before[key], given[key]))
  if (changed.length === 0) return
  const [key] = changed as [(typeof shared)[number]]
  throw new HdpoError(
    'ERR_RESUME',
    `${changed.join(', ')}: differs from the comparison that the folder holds, ` +
      `whose ${key} was ${JSON.stringify(before[key])} and is ${JSON.stringify(given[key])} now; choose another folder (--output)`,
  )
}

/** Counts every job alike, and extrapolates from the speed that this process has seen. */
class ProgressTracker {
  readonly #began = performance.now()
  readonly #shares = new Map<string, number>()
  readonly #running = new Set<string>()
  readonly #shareAtBegin: number

  constructor(
    private readonly jobs: readonly Job[],
    finished: ReadonlySet<string>,
  ) {
    for (const id of finished) this.#shares.set(id, 1)
    this.#shareAtBegin = this.#share()
  }

  begin(job: Job): void {
    this.#running.add(job.id)
  }

  reach(job: Job, share: number): void {
    this.#shares.set(job.id, share)
  }

  end(job: Job, finished: boolean): void {
    this.#running.delete(job.id)
    if (finished) this.#shares.set(job.id, 1)
  }

  state(): CompareProgress {
    const share = this.#share()
    const elapsed = (performance.now() - this.#began) / 1000
    const done = share - this.#shareAtBegin
    const cells = this.jobs.filter((job) => job.kind === 'cell')
    return {
      share,
      secondsLeft: done > 0.001 ? (elapsed * (1 - share)) / done : undefined,
      cells: cells.length,
      cellsFinished: cells.filter(({ id }) => this.#shares.get(id) === 1).length,
      running: [...this.#running].map((id) => ({ id, share: this.#shares.get(id) ?? 0 })),
    }
  }

  #share(): number {
    return (
      this.jobs.reduce((sum, { id }) => sum + (this.#shares.get(id) ?? 0), 0) / Math.max(this.jobs.length, 1)
    )
  }
}
