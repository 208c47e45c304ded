// Checkpoints of a run: <run>/checkpoints/step-<N>/. A checkpoint either is whole or does not count:
//   1. its files are written into step-<N>.partial-<pid> and fsynced,
//   2. manifest.json, with size and SHA-256 of every file, is written last and fsynced,
//   3. the folder is renamed to step-<N> and the parent folder fsynced.
// A reader takes the newest one whose files all match its manifest.
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { syncPath } from '../core/sync-path.js'
import { digestOf, type FileDigest, findDifference, ignoreMissing } from './file-digest.js'

const manifestName = 'manifest.json'
const manifestFormat = 1

interface Manifest {
  format: number
  step: number
  files: Record<string, FileDigest>
}

export interface Checkpoint {
  step: number
  folder: string
}

export class CheckpointStore {
  private constructor(
    readonly folder: string,
    private readonly keep: number,
    private readonly warn: (message: string) => void,
  ) {}

  /**
   * Creates the folder if needed and removes what an interrupted write left. `keep` is the number of newest checkpoints that
   * stay, at least 1.
   */
  static async open(
    folder: string,
    options: { keep: number; warn: (message: string) => void },
  ): Promise<CheckpointStore> {
    await mkdir(folder, { recursive: true })
    const store = new CheckpointStore(folder, options.keep, options.warn)
    await store.#removePartial()
    return store
  }

  /** `write` fills a fresh folder; when save resolves, the checkpoint is on disk under its final name. */
  async save(step: number, write: (folder: string) => Promise<void>): Promise<Checkpoint> {
    const folder = join(this.folder, `step-${step}`)
    const partial = `${folder}.partial-${process.pid}`
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial)
    await write(partial)
    await writeManifest(partial, step)
    // An existing folder of that name is damaged, or the run was resumed from before it.
    await rm(folder, { recursive: true, force: true })
    await rename(partial, folder)
    await syncPath(this.folder)
    await this.#removeOld(step)
    return { step, folder }
  }

  /** The newest complete checkpoint; damaged ones are skipped with a warning. */
  async latest(): Promise<Checkpoint | undefined> {
    for (const step of (await this.steps()).reverse()) {
      const folder = join(this.folder, `step-${step}`)
      const damage = await findDamage(folder, step)
      if (damage === undefined) return { step, folder }
      this.warn(`checkpoint ${folder} is damaged and was not used: ${damage}`)
    }
    return undefined
  }

  steps(): Promise<number[]> {
    return checkpointSteps(this.folder)
  }

  /** Deletes all but the newest `keep`. The checkpoint `written` is known to be complete, so a good one always stays. */
  async #removeOld(written: number): Promise<void> {
    const others = (await this.steps()).filter((step) => step !== written)
    const surplus = others.length + 1 - this.keep
    for (const step of others.slice(0, Math.max(surplus, 0))) {
      await rm(join(this.folder, `step-${step}`), { recursive: true, force: true })
    }
  }

  async #removePartial(): Promise<void> {
    for (const name of await readdir(this.folder)) {
      if (!/^step-\d+\.partial-\d+$/.test(name)) continue
      await rm(join(this.folder, name), { recursive: true, force: true })
      this.warn(`removed ${join(this.folder, name)}, left by an interrupted write`)
    }
  }
}

/** The steps that have a folder, ascending, damaged ones included. Empty where there is no folder of checkpoints yet. */
export async function checkpointSteps(folder: string): Promise<number[]> {
  const names = (await readdir(folder).catch(ignoreMissing)) ?? []
  return names
    .map((name) => /^step-(\d+)$/.exec(name)?.[1])
    .filter((step) => step !== undefined)
    .map(Number)
    .sort((a, b) => a - b)
}

/** What is wrong with a checkpoint; undefined where every file has the size and hash of the manifest. */
async function findDamage(folder: string, step: number): Promise<string | undefined> {
  const manifest = await readManifest(folder)
  if (typeof manifest === 'string') return manifest
  if (manifest.step !== step) return `${manifestName} is that of step ${manifest.step}`
  for (const [name, expected] of Object.entries(manifest.files)) {
    const difference = await findDifference(join(folder, name), expected)
    if (difference !== undefined) return `${name} ${difference}`
  }
  return undefined
}

async function readManifest(folder: string): Promise<Manifest | string> {
  const text = await readFile(join(folder, manifestName), 'utf8').catch(ignoreMissing)
  if (text === undefined) return `${manifestName} is missing`
  let manifest: Manifest
  try {
    manifest = JSON.parse(text) as Manifest
  } catch (error) {
    return `${manifestName} is not JSON: ${(error as Error).message}`
  }
  if (manifest.format !== manifestFormat || typeof manifest.files !== 'object') {
    return `${manifestName} is of format ${JSON.stringify(manifest.format)}, not ${manifestFormat}`
  }
  return manifest
}

async function writeManifest(folder: string, step: number): Promise<void> {
  const manifest: Manifest = { format: manifestFormat, step, files: {} }
  for (const path of await filesUnder(folder)) {
    await syncPath(path)
    const name = relative(folder, path).split(sep).join('/')
    manifest.files[name] = await digestOf(path)
  }
  const path = join(folder, manifestName)
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`)
  await syncPath(path)
  await syncPath(folder)
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** Writes a JSON value into a checkpoint folder that is being filled. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`)
}
