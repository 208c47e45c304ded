// Works off the jobs of a comparison, some at a time. A job that fails takes nobody with it but the cells of a start.
import { type Job, startId } from './grid.js'
import type { JobEnd } from './job-process.js'

interface QueueOptions {
  jobs: readonly Job[]
  /** Of jobs that have a result. */
  finished: ReadonlySet<string>
  processes: number
  signal: AbortSignal
  run: (job: Job) => Promise<JobEnd>
  /** A job has ended; `waiting` and `running` are what is left. */
  ended: (job: Job, end: JobEnd) => void
}

export interface QueueResult {
  finished: Set<string>
  failed: Map<string, string>
  /** Neither: stopped, or never begun. */
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
