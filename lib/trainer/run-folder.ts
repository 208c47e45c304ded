// The folder of a run: metrics.jsonl (a line a step), rollouts/step-000001.jsonl (every trajectory),
// checkpoints/step-<N>/.
import { existsSync } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../errors.js'
import { type Checkpoint, CheckpointStore, syncPath } from './checkpoint.js'

export interface RunFolderOptions {
  /** Continue what the folder holds; without it a folder that holds a run is refused. */
  resume: boolean
  keepCheckpoints: number
  warn: (message: string) => void
}

export class RunFolder {
  private constructor(
    readonly path: string,
    private readonly checkpoints: CheckpointStore,
    /** Where a resumed run goes on from. */
    readonly resumedFrom: Checkpoint | undefined,
  ) {}

  static async open(path: string, options: RunFolderOptions): Promise<RunFolder> {
    await mkdir(join(path, 'rollouts'), { recursive: true })
    const checkpoints = await CheckpointStore.open(join(path, 'checkpoints'), {
      keep: options.keepCheckpoints,
      warn: options.warn,
    })
    if (!options.resume) {
      const metrics = await readMetrics(path)
      if (metrics.length > 0 || (await checkpoints.steps()).length > 0) {
        throw new HdpoError(
          'ERR_RUN_EXISTS',
          `output: ${path} already holds a run; resume it, or choose another folder`,
        )
      }
      return new RunFolder(path, checkpoints, undefined)
    }
    const run = new RunFolder(path, checkpoints, await checkpoints.latest())
    await run.#truncate(run.resumedFrom?.step ?? 0)
    return run
  }

  async appendMetrics(metrics: { step: number }): Promise<void> {
    await appendFile(this.#metricsPath, `${JSON.stringify(metrics)}\n`)
  }

  /** One line a rollout, whole or not there. */
  async writeRollouts(step: number, rollouts: readonly object[]): Promise<void> {
    const lines = rollouts.map((rollout) => `${JSON.stringify(rollout, typedArraysAsLists)}\n`)
    await writeFileAtomic(this.rolloutsPath(step), lines.join(''), { fsync: false })
  }

  rolloutsPath(step: number): string {
    return join(this.path, 'rollouts', `step-${String(step).padStart(6, '0')}.jsonl`)
  }

  /** Metrics are fsynced first: a checkpoint of step N implies the lines up to N. */
  async saveCheckpoint(step: number, write: (folder: string) => Promise<void>): Promise<Checkpoint> {
    if (existsSync(this.#metricsPath)) await syncPath(this.#metricsPath)
    return this.checkpoints.save(step, write)
  }

  /** Forgets what was recorded after `step`, a half-written last line included. */
  async #truncate(step: number): Promise<void> {
    const kept = (await readMetrics(this.path)).filter((metrics) => metrics.step <= step)
    await writeFileAtomic(this.#metricsPath, kept.map((metrics) => `${JSON.stringify(metrics)}\n`).join(''))
    for (const name of await readdir(join(this.path, 'rollouts'))) {
      const recorded = /^step-(\d+)\.jsonl/.exec(name)?.[1]
      if (recorded !== undefined && Number(recorded) > step) await rm(join(this.path, 'rollouts', name))
    }
  }

  get #metricsPath(): string {
    return join(this.path, 'metrics.jsonl')
  }
}

/**
 * The lines of metrics.jsonl. A last line without its newline was cut off while it was written and is left
 * out.
 */
export async function readMetrics<Metrics extends { step: number }>(runPath: string): Promise<Metrics[]> {
  const path = join(runPath, 'metrics.jsonl')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return text
    .split('\n')
    .slice(0, -1)
    .map((line, index) => {
      try {
        return JSON.parse(line) as Metrics
      } catch (error) {
        throw new HdpoError(
          'ERR_RUN_FOLDER',
          `${path}:${index + 1} is not JSON: ${(error as Error).message}`,
          {
            cause: error,
          },
        )
      }
    })
}

/** Nine digits hold a float32 exactly. */
function typedArraysAsLists(_key: string, value: unknown): unknown {
  if (value instanceof Float32Array) return Array.from(value, (number) => Number(number.toPrecision(9)))
  return ArrayBuffer.isView(value) ? Array.from(value as Int32Array) : value
}
