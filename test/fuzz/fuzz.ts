// Feeds one part of the product after the other with random input, each in a process of its own, and says how a failure is repeated.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Job, JobResult } from './job.js'

const program = join(import.meta.dirname, 'run-target.ts')
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

// A process that takes more is ended, so that the machine stays usable: nothing that a target is given needs a tenth of it.
const mostMemory = 4 * 2 ** 30

export async function runTarget(job: Job): Promise<JobResult> {
  const first = await startJob(job)
  if (first.result) return first.result
  // It crashed. The same runs, with each input said before it is tried, so that the last one is known.
  const again = await startJob({ ...job, loud: true })
  const inputs = again.errors.trimEnd().split('\n')
  const error = again.result
    ? `the process ${first.how}, and did not when the same runs were made again:\n${first.errors.slice(-3000)}`
    : `the process ${again.how}; the last input of each thread is above it:\n${inputs.slice(-12).join('\n')}`
  return {
    runs: again.result?.runs ?? 0,
    failures: [{ seed: job.seed, input: inputs.at(-1) ?? '', error }],
  }
}

async function startJob(job: Job): Promise<{ result?: JobResult; how: string; errors: string }> {
  // Random paths are relative to a folder that goes with the job.
  const folder = mkdtempSync(join(tmpdir(), 'hdpo-fuzz-'))
  const child = spawn(process.execPath, ['--import', tsx, program, JSON.stringify(job)], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_NO_WARNINGS: '1' },
  })
  let greedy = false
  const watch = setInterval(() => {
    greedy ||= residentBytes(child.pid as number) > mostMemory
    if (greedy) child.kill('SIGKILL')
  }, 100)
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-200_000)
  })
  const [code, signal] = await once(child, 'close')
  clearInterval(watch)
  rmSync(folder, { recursive: true, force: true })
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  if (greedy) return { how: `took more than ${mostMemory / 2 ** 30} GiB of memory`, errors }
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`
  return { how, errors, ...(code === 0 && last.startsWith('{') && { result: JSON.parse(last) as JobResult }) }
}

/** 0 where it has ended, and where the system has no /proc. */
function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096
  } catch {
    return 0
  }
}

/** The command that repeats a failure. */
export function repeatCommand(name: string, { seed, path }: { seed: number; path?: string }): string {
  return `npm run fuzz -- --only ${name} --seed ${seed}${path === undefined ? '' : ` --path ${path}`}`
}
