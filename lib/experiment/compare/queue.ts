// Runs the jobs of a comparison, several at once. A failed start takes its cells with it; any other failure affects no other job.
import { type Job, startId } from './grid.js'
import type { JobEnd } from './job-process.js'

interface QueueOptions {
  jobs: readonly Job[]
  /** Ids of jobs that already have a result. */
  finished: ReadonlySet<string>
  processes: number
  signal: AbortSignal
  run: (job: Job) => Promise<JobEnd>
  /** Called when a job has ended. */
  ended: (job: Job, end: JobEnd) => void
}

export interface QueueResult {
  finished: Set<string>
  failed: Map<string, string>
  /** Jobs that neither finished nor failed: they were stopped or never begun. */
  left: string[]
}

export async function workOff({
  jobs,
  finished: before,
  processes,
  signal,
  run,
  ended,
}: QueueOptions): Promise<QueueResult> {
  const finished = new Set(before)
  const failed = new Map<string, string>()
  const waiting = jobs.filter(({ id }) => !finished.has(id))
  const running = new Map<string, Promise<void>>()
  const settle = (job: Job, end: JobEnd) => {
    if (end.kind === 'finished') finished.add(job.id)
    if (end.kind === 'failed') failed.set(job.id, end.message)
    ended(job, end)
  }
  const begin = (job: Job) => {
    waiting.splice(waiting.indexOf(job), 1)
    const work = run(job)
      .then((end) => settle(job, end))
      .finally(() => running.delete(job.id))
    running.set(job.id, work)
  }
  for (;;) {
    for (const job of waiting.filter((each) => isHopeless(each, failed))) {
      waiting.splice(waiting.indexOf(job), 1)
      settle(job, { kind: 'failed', message: `${needs(job)} failed` })
    }
    while (running.size < processes && !signal.aborted) {
      const next = waiting.find((job) => isReady(job, finished))
      if (!next) break
      begin(next)
    }
    if (running.size === 0) break
    await Promise.race(running.values())
  }
  return {
    finished,
    failed,
    left: jobs.map(({ id }) => id).filter((id) => !finished.has(id) && !failed.has(id)),
  }
}

const needs = (job: Job): string | undefined => (job.kind === 'cell' ? startId(job.cell.seed) : undefined)

function isReady(job: Job, finished: ReadonlySet<string>): boolean {
  const start = needs(job)
  return start === undefined || finished.has(start)
}

function isHopeless(job: Job, failed: ReadonlyMap<string, string>): boolean {
  const start = needs(job)
  return start !== undefined && failed.has(start)
}
