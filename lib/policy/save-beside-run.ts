// A policy is often saved into the folder of the run that trained it. While another process goes on with that run, it is refused.
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { lockName, refuseHeldByOthers, whileHeldHere } from '../core/folder-lock.js'

/** What the folder of a run has, besides the lock of whoever is at work in it. */
const runNames = [lockName, 'metrics.jsonl', 'checkpoints']

/**
 * Runs `save`, which writes `folder`. Where `folder` is a run's, or is in one, it rejects with ERR_RUN_IN_USE if another process
 * holds the run, and this process holds the run around it until `save` has ended.
 */
export async function saveBesideRun(folder: string, save: () => Promise<void>): Promise<void> {
  const target = resolve(folder)
  await refuseHeldByOthers(target)
  const parent = dirname(target)
  const isRun = runNames.some((name) => existsSync(join(parent, name)))
  return isRun ? whileHeldHere(parent, save) : save()
}
