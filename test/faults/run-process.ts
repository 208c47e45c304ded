// Starts a small run, and kills it where the campaign says so.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Phase, RunMessage, SmallRun } from './small-run-message.js'

const program = join(import.meta.dirname, 'small-run.ts')
// A bare 'tsx' would be resolved from the working directory.
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

/** Far longer than a small run takes on a busy machine. */
const patience = 400_000

export interface KillAt {
  /** Counted from the beginning of this phase ... */
  phase: Phase
  /** ... of which it is the occurrence with this number, from 1. */
  occurrence: number
  /** Milliseconds after it. */
  delay: number
}

export interface ProcessOptions {
  killAt?: KillAt
  /** Modules that are loaded first. */
  preload?: readonly string[]
  /** A shell command that replaces itself by the run: 'ulimit -f 100 && exec "$@"'. */
  shell?: string
  /** The user that the run has. */
  uid?: number
  env?: Record<string, string>
  /** Called with each message as it comes. */
  onMessage?: (message: RunMessage) => void
}

export interface EndedRun {
  /** `killed` by the campaign; 'crashed' where a signal or nothing at all ended it; 'hung' where it did not end. */
  ended: 'finished' | 'refused' | 'failed' | 'killed' | 'crashed' | 'hung'
  code?: string
  message: string
  /** How often each phase was entered, in the order in which that was first done. */
  phases: Map<Phase, number>
  warnings: string[]
  /** From the phase 'run' to the end. */
  milliseconds: number
}

export async function startRun(run: SmallRun, options: ProcessOptions = {}): Promise<EndedRun> {
  const { killAt, preload = [], shell, uid, env, onMessage } = options
  const imports = [tsx, ...preload].flatMap((module) => ['--import', module])
  const command = [process.execPath, ...imports, program, JSON.stringify(run)]
  const [file, ...args] = shell === undefined ? command : ['/bin/bash', '-c', shell, 'run', ...command]
  const child = spawn(file as string, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
    ...(uid !== undefined && { uid, gid: uid }),
  })
  const closed = once(child, 'close')
  const state: EndedRun = { ended: 'crashed', message: '', phases: new Map(), warnings: [], milliseconds: 0 }
  let begun = performance.now()
  const kill = async (delay: number) => {
    await sleep(delay)
    if (child.exitCode === null && child.kill('SIGKILL')) state.ended = 'killed'
  }
  onLines(child.stdout, (message) => {
    onMessage?.(message)
    record(state, message)
    if (!('phase' in message)) return
    if (message.phase === 'run') begun = performance.now()
    if (message.phase === killAt?.phase && state.phases.get(killAt.phase) === killAt.occurrence)
      void kill(killAt.delay)
  })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const timer = setTimeout(() => {
    state.ended = 'hung'
    child.kill('SIGKILL')
  }, patience)
  const [code, signal] = await closed
  clearTimeout(timer)
  state.milliseconds = performance.now() - begun
  if (state.ended === 'crashed')
    state.message = `ended with ${signal ?? `exit code ${code}`}: ${errors.trim().slice(-600)}`
  return state
}

function record(state: EndedRun, message: RunMessage): void {
  if ('phase' in message) state.phases.set(message.phase, (state.phases.get(message.phase) ?? 0) + 1)
  else if ('warning' in message) state.warnings.push(message.warning)
  else Object.assign(state, message)
}

function onLines(stream: NodeJS.ReadableStream, each: (message: RunMessage) => void): void {
  let rest = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) each(JSON.parse(line) as RunMessage)
  })
}
