// The folder of a run: config.yaml, metrics.jsonl (one line per step), rollouts/step-000001.jsonl (every rollout), events.jsonl
// (warnings, and the error that ended the run), checkpoints/step-<N>/. No secret is written into any of them.
import { existsSync } from 'node:fs'
import { appendFile, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { stringify as stringifyYaml } from 'yaml'
import { HdpoError } from '../core/errors.js'
import { type FolderLock, lockFolder } from '../core/folder-lock.js'
import { LineFile } from '../core/line-file.js'
import { readIfThere } from '../core/read-if-there.js'
import { redactValue } from '../core/redact.js'
import { syncPath } from '../core/sync-path.js'
import { makeWritable } from '../core/writable.js'
import { rolloutLine } from '../rollout/rollout-line.js'
import { type Checkpoint, CheckpointStore, checkpointSteps } from './checkpoint.js'
import { describeConfig } from './describe-config.js'
import { metricsName, metricsUpTo, readMetrics } from './metrics-file.js'

const finishedName = 'finished.json'

interface RunFolderOptions {
  /** Continue the run in the folder; without this a folder that holds a run is refused. */
  resume: boolean
  keepCheckpoints: number
  warn: (message: string) => void
}

/** The error for a folder that already holds a run. */
export function runExists(path: string, what = 'a run'): HdpoError {
  return new HdpoError(
    'ERR_RUN_EXISTS',
    `output: ${path} already holds ${what}; resume it (--resume), or choose another folder (--output)`,
  )
}

/**
 * Refuses a folder in which a run cannot begin or resume, before a model is loaded: one that holds a run, a path that is no
 * folder, a folder without write permission.
 */
export async function checkRunFolder(path: string, { resume = false }: { resume?: boolean }): Promise<void> {
  await makeWritable(path)
  if (resume) return
  const metrics = await readMetrics(path)
  if (metrics.length > 0 || (await checkpointSteps(join(path, 'checkpoints'))).length > 0)
    throw runExists(path)
}

/** Whether all `steps` were taken and the policy of the last one was saved, so that nothing is left to do. */
export async function isFinished(path: string, steps: number): Promise<boolean> {
  const text = await readIfThere(join(path, finishedName))
  if (text === undefined || !existsSync(join(path, 'policy', 'config.json'))) return false
  const taken = (JSON.parse(text) as { steps: number }).steps
  return taken >= steps && taken === (await checkpointSteps(join(path, 'checkpoints'))).at(-1)
}

/** Notes that the policy of the last step was saved. */
export async function markFinished(path: string, steps: number): Promise<void> {
  await writeFileAtomic(join(path, finishedName), `${JSON.stringify({ steps })}\n`)
}

export class RunFolder {
  private constructor(
    readonly path: string,
    private readonly checkpoints: CheckpointStore,
    private readonly events: LineFile,
    /** The checkpoint that a resumed run goes on from. */
    readonly resumedFrom: Checkpoint | undefined,
    private readonly lock: FolderLock,
  ) {}

  /** Rejects with ERR_RUN_IN_USE where another run holds the folder; this one holds it until close(). */
  static async open(path: string, options: RunFolderOptions): Promise<RunFolder> {
    const lock = await lockFolder(path)
    try {
      return await RunFolder.#openHeld(path, options, lock)
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  static async #openHeld(path: string, options: RunFolderOptions, lock: FolderLock): Promise<RunFolder> {
    await checkRunFolder(path, options)
    await mkdir(join(path, 'rollouts'), { recursive: true })
    const checkpoints = await CheckpointStore.open(join(path, 'checkpoints'), {
      keep: options.keepCheckpoints,
      warn: options.warn,
    })
    const events = await LineFile.open(join(path, 'events.jsonl'), options.warn)
    const resumedFrom = options.resume ? await checkpoints.latest() : undefined
    return new RunFolder(path, checkpoints, events, resumedFrom, lock)
  }

  /** Gives up the folder, so that another process may go on with the run. */
  close(): Promise<void> {
    return this.lock.release()
  }

  async appendMetrics(metrics: { step: number }): Promise<void> {
    await appendFile(this.#metricsPath, `${JSON.stringify(redactValue(metrics))}\n`)
  }

  /** Writes the run's config; that of a resumed run replaces the earlier one. */
  async writeConfig(config: unknown): Promise<void> {
    const text = stringifyYaml(redactValue(describeConfig(config)), { aliasDuplicateObjects: false })
    await writeFileAtomic(join(this.path, 'config.yaml'), text)
  }

  /** Appends a line to events.jsonl. */
  async appendEvent(event: { level: 'warning' | 'error'; message: string; code?: string }): Promise<void> {
    const line = JSON.stringify(redactValue({ time: new Date().toISOString(), ...event }))
    await this.events.append(`${line}\n`)
  }

  /** Writes one line per rollout; the file appears only when it is complete. */
  async writeRollouts(step: number, rollouts: readonly object[]): Promise<void> {
    await writeFileAtomic(this.rolloutsPath(step), rollouts.map(rolloutLine).join(''), { fsync: false })
  }

  rolloutsPath(step: number): string {
    return join(this.path, 'rollouts', `step-${String(step).padStart(6, '0')}.jsonl`)
  }

  /** Metrics are fsynced first, so a checkpoint of step N implies that the lines up to N are on disk. */
  async saveCheckpoint(step: number, write: (folder: string) => Promise<void>): Promise<Checkpoint> {
    if (existsSync(this.#metricsPath)) await syncPath(this.#metricsPath)
    return this.checkpoints.save(step, write)
  }

  /**
   * Removes what was recorded after the checkpoint, including a half-written last line. Rejects with ERR_RUN_FOLDER, and removes
   * nothing, where the metrics up to it are not whole.
   */
  async goBackToCheckpoint(): Promise<void> {
    const step = this.resumedFrom?.step ?? 0
    const kept = await metricsUpTo(this.path, step)
    await writeFileAtomic(this.#metricsPath, kept.map((metrics) => `${JSON.stringify(metrics)}\n`).join(''))
    for (const name of await readdir(join(this.path, 'rollouts'))) {
      const recorded = /^step-(\d+)\.jsonl/.exec(name)?.[1]
      if (recorded !== undefined && Number(recorded) > step) await rm(join(this.path, 'rollouts', name))
    }
  }

  get #metricsPath(): string {
    return join(this.path, metricsName)
  }
}
