// Starts a job in a process of its own, so that a crash, leak or kill affects only one cell.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { type Job, jobFolder } from './grid.js'

/** Messages from child to parent. */
export type JobMessage =
  | { kind: 'progress'; share: number }
  | { kind: 'warning'; message: string }
  | { kind: 'failed'; message: string }
  | { kind: 'stopped' }
  | { kind: 'finished' }

/** The message from parent to child. */
export interface StopMessage {
  kind: 'stop'
}

export interface JobCommand {
  /** A JavaScript or TypeScript file that calls `serveJob`. */
  script: string
  arguments: string[]
}

interface JobProcessOptions {
  output: string
  command: (job: Job) => JobCommand
  signal: AbortSignal
  progress: (share: number) => void
  warn: (message: string) => void
}

export type JobEnd = { kind: 'finished' | 'stopped' } | { kind: 'failed'; message: string }

/** Resolves with the job's end, also where it failed. The job's output goes to log.txt in its folder. */
export async function runJobProcess(job: Job, options: JobProcessOptions): Promise<JobEnd> {
  const folder = jobFolder(options.output, job)
  await mkdir(folder, { recursive: true })
  const logPath = join(folder, 'log.txt')
  const log = await open(logPath, 'a')
  try {
    const { script, arguments: args } = options.command(job)
    const child = fork(script, args, { stdio: ['ignore', log.fd, log.fd, 'ipc'] })
    return await endOf(child, logPath, options)
  } finally {
    await log.close()
  }
}

function endOf(child: ChildProcess, logPath: string, options: JobProcessOptions): Promise<JobEnd> {
  const { signal, progress, warn } = options
  let end: JobEnd | undefined
  const stop = () => {
    if (child.connected) child.send({ kind: 'stop' } satisfies StopMessage)
  }
  child.on('message', (message: JobMessage) => {
    if (message.kind === 'progress') progress(message.share)
    else if (message.kind === 'warning') warn(message.message)
    else end = message
  })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  return new Promise<JobEnd>((resolve, reject) => {
    child.once('error', (error) => {
      reject(
        new HdpoError('ERR_COMPARE', `a process could not be started: ${error.message}`, { cause: error }),
      )
    })
    child.once('exit', (code, killedBy) => {
      const ended =
        killedBy === null ? `its process ended with status ${code}` : `its process was ended by ${killedBy}`
      const settle = () => resolve(end ?? { kind: 'failed', message: `${ended}; see ${logPath}` })
      // The child's last messages may still be on their way; 'disconnect' comes after them.
      if (child.connected) child.once('disconnect', settle)
      else settle()
    })
  }).finally(() => signal.removeEventListener('abort', stop))
}
