// What the records of a run were when a checkpoint was saved: metrics.jsonl up to its step, and the rollouts of each step. The numbers
// of a run are in them, so that a run never goes on after others than it has written.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { shortHash } from '../core/function-identity.js'
import { digestOf, type FileDigest, ignoreMissing } from './file-digest.js'
import { damagedRecords, metricsName } from './metrics-file.js'

export interface RecordDigests {
  /** Of metrics.jsonl as far as it went. */
  metrics: FileDigest
  /** By step, the first 16 digits of the SHA-256 of its file in rollouts/. */
  rollouts: Record<number, string>
}

/** Call it before anything else is appended to the metrics. Undefined where there are none. */
export async function recordDigests(
  runPath: string,
  rollouts: ReadonlyMap<number, string>,
): Promise<RecordDigests | undefined> {
  const path = join(runPath, metricsName)
  if (!(await stat(path).catch(ignoreMissing))) return undefined
  return { metrics: await digestOf(path), rollouts: Object.fromEntries(rollouts) }
}

export function rolloutsDigest(content: string | Buffer): string {
  return shortHash(content)
}

/** Rejects with ERR_RUN_FOLDER where the lines up to the step are not those that were written. */
export async function checkMetrics(
  runPath: string,
  step: number,
  { metrics: { size, sha256 } }: RecordDigests,
): Promise<void> {
  const path = join(runPath, metricsName)
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { end: size - 1 })) hash.update(chunk as Buffer)
  if (hash.digest('hex') === sha256) return
  throw damagedRecords(
    `${path}: the lines up to step ${step} are not those that were written (SHA-256)`,
    step,
  )
}

/**
 * Files of rollouts/ that are not as they were written. One that is missing is no damage: rollouts take much room, and a run reads
 * none of an earlier step.
 */
export async function changedRollouts(
  digests: RecordDigests,
  pathOf: (step: number) => string,
): Promise<string[]> {
  const changed: string[] = []
  for (const [step, digest] of Object.entries(digests.rollouts)) {
    const path = pathOf(Number(step))
    const content = await readFile(path).catch(ignoreMissing)
    if (content !== undefined && rolloutsDigest(content) !== digest) changed.push(path)
  }
  return changed
}
