import { availableParallelism } from 'node:os'

/** Runs a check for every job, as many at a time as there are cores, and counts the checks that resolve with true. */
export async function countChecks(jobs, check) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const queue = [...jobs]
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift())
      counts[(await check(job)) ? 'passed' : 'failed'] += 1
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  return counts
}
