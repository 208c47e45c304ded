// Runs one target in a process of its own: npx tsx test/fuzz/run-target.ts '{"name": "calls", "seed": 1, "runs": 100}'. A line of JSON
// says what came of it. Whatever ends the process is a failure; the parent then asks for the same runs with `loud`.
import { writeSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import fc from 'fast-check'
import type { Failure, Job, JobResult } from './job.js'
import { targets } from './targets.js'

const mostFailures = 20

if (isMainThread) {
  const job = JSON.parse(process.argv[2] as string) as Job
  writeSync(1, `${JSON.stringify(await runJob(job))}\n`)
  // Whatever a failed property left open does not keep the fuzzer.
  process.exit(0)
} else {
  parentPort?.postMessage(await runHere(workerData as Job))
}

async function runJob(job: Job): Promise<JobResult> {
  const { threads = 0 } = targetOf(job)
  // A single run that is repeated needs no thread.
  if (threads === 0 || job.path !== undefined) return runHere(job)
  const results = await Promise.all(
    Array.from({ length: threads }, (_, thread) =>
      runInThread({ ...job, seed: job.seed + thread * 1_000_003 }),
    ),
  )
  return {
    runs: results.reduce((sum, { runs }) => sum + runs, 0),
    failures: distinct(results.flatMap(({ failures }) => failures)),
  }
}

function runInThread(job: Job): Promise<JobResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./run-target-thread.mjs', import.meta.url), { workerData: job })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`a thread ended with ${code}`)))
  })
}

function targetOf({ name }: Job) {
  const target = targets.find((each) => each.name === name)
  if (!target) throw new RangeError(`there is no target ${name}`)
  return target
}

async function runHere(job: Job): Promise<JobResult> {
  const { property, close } = await targetOf(job).open()
  // A promise that nobody awaits is a failure of the run in which it is rejected.
  const lost: unknown[] = []
  const onLost = (reason: unknown) => lost.push(reason)
  process.on('unhandledRejection', onLost)
  try {
    return await runBatches(job, property, lost)
  } finally {
    await close()
  }
}

/** Goes on after a failure: the time is better spent on finding others. */
async function runBatches(job: Job, property: fc.IRawProperty<unknown>, lost: unknown[]): Promise<JobResult> {
  const { seed, path, seconds, runs: wanted = Number.POSITIVE_INFINITY, loud = false } = job
  const { batchRuns = 100 } = targetOf(job)
  const until = performance.now() + (seconds ?? Number.POSITIVE_INFINITY) * 1000
  const failures: Failure[] = []
  let runs = 0
  for (let batch = 0; runs < wanted && performance.now() < until; batch++) {
    const details = await fc.check(loud ? announced(property) : property, {
      seed: seed + batch,
      numRuns: path === undefined ? Math.min(batchRuns, wanted - runs) : 1,
      ...(path !== undefined && { path }),
    })
    runs += details.numRuns
    if (details.failed) failures.push(describe(seed + batch, details))
    for (const reason of lost.splice(0)) failures.push(notCaught(seed + batch, reason))
    if (path !== undefined) break
  }
  return { runs, failures: distinct(failures) }
}

function notCaught(seed: number, reason: unknown): Failure {
  const error = `not caught: ${reason instanceof Error ? reason.stack : String(reason)}`
  return { seed, input: 'one of the runs with this seed', error }
}

/** The first of each kind: numbers and what is quoted differ from one to the next. */
function distinct(failures: readonly Failure[]): Failure[] {
  const kinds = new Map<string, Failure>()
  for (const failure of failures) {
    const kind = failure.error
      .split('\n')
      .slice(0, 3)
      .join(' ')
      .replaceAll(/\d+|"[^"]*"/g, '#')
    if (!kinds.has(kind)) kinds.set(kind, failure)
  }
  return [...kinds.values()].slice(0, mostFailures)
}

/** Says each input before it is tried, on standard error, so that it is out before a crash. */
function announced(property: fc.IRawProperty<unknown>): fc.IRawProperty<unknown> {
  return new Proxy(property, {
    get(target, key) {
      if (key !== 'run') return Reflect.get(target, key).bind?.(target) ?? Reflect.get(target, key)
      return (value: unknown) => {
        writeSync(2, `${fc.stringify(value)}\n`)
        return target.run(value)
      }
    },
  })
}

function describe(seed: number, details: fc.RunDetails<unknown>): Failure {
  const { counterexample, counterexamplePath, errorInstance } = details
  const error =
    errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance)
  return {
    seed,
    input: fc.stringify(counterexample),
    error,
    ...(counterexamplePath !== null && { path: counterexamplePath }),
  }
}
