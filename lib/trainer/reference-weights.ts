// reference.safetensors of a run with a KL term whose weights are all trained: the policy that the run began with. Checkpoints say
// its size and SHA-256, so that a run never goes on measuring from other weights.
import { HdpoError } from '../core/errors.js'
import { syncPath } from '../core/sync-path.js'
import { digestOf, type FileDigest, findDifference } from '../run/file-digest.js'
import type { RunState } from '../run/run-state.js'

/** The file is on disk before the first checkpoint that needs it. */
export async function writeReference(path: string, write: () => Promise<void>): Promise<FileDigest> {
  await write()
  await syncPath(path)
  return digestOf(path)
}

/** Rejects with ERR_CHECKPOINT where the file is not the one that the run was begun with. */
export async function checkReference(path: string, { step, reference }: RunState): Promise<FileDigest> {
  const difference =
    reference === undefined
      ? `cannot be checked: the checkpoint of step ${step} does not say its size and SHA-256`
      : await findDifference(path, reference)
  if (reference !== undefined && difference === undefined) return reference
  throw new HdpoError(
    'ERR_CHECKPOINT',
    `${path} ${difference}; the KL term measures from these weights: bring the file back as it was, or begin in another folder`,
  )
}
