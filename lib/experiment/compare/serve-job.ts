// Runs a job inside a process of its own.

import { constants, getPriority, setPriority } from 'node:os'
import { messageOf } from '../../core/message-of.js'
import { JobStopped } from './job-context.js'
import type { JobMessage, StopMessage } from './job-process.js'

interface ServedJob {
  signal: AbortSignal
  progress: (share: number) => void
  warn: (message: string) => void
}

/**
 * Runs `work` and reports its end to the parent. The job ends early, saving what it has, when the parent asks for it or is gone.
 * Ctrl-C reaches every process of a terminal, so a job ignores it and the parent handles it.
 */
export async function serveJob(nice: number, work: (job: ServedJob) => Promise<unknown>): Promise<void> {
  // Threads started after this inherit the niceness. A process may not lower its own.
  setPriority(Math.min(Math.max(nice, getPriority()), constants.priority.PRIORITY_LOW))
  const stop = new AbortController()
  const abort = () => stop.abort(new JobStopped('the comparison was stopped'))
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', abort)
  process.on('disconnect', abort)
  process.on('message', (message: StopMessage) => {
    if (message.kind === 'stop') abort()
  })
  const end = await endOf(() =>
    work({
      signal: stop.signal,
      progress: (share) => tell({ kind: 'progress', share }),
      warn: (message) => tell({ kind: 'warning', message }),
    }),
  )
  if (end.kind === 'failed') process.exitCode = 1
  tell(end)
  if (process.connected) process.disconnect()
}

async function endOf(work: () => Promise<unknown>): Promise<JobMessage> {
  try {
    await work()
    return { kind: 'finished' }
  } catch (error) {
    // A wait that was cut short throws AbortError, with the signal's reason as the cause.
    const stopped = error instanceof JobStopped || (error as Error | undefined)?.cause instanceof JobStopped
    if (stopped) return { kind: 'stopped' }
    console.error(error)
    return { kind: 'failed', message: messageOf(error) }
  }
}

/** Sends a message to the parent. There is none where a job is run by hand, or the parent is gone. */
function tell(message: JobMessage): void {
  if (process.connected) process.send?.(message)
}
