// The runs under a folder; new ones are found as they appear, and removed ones go.
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { basename, join, relative, resolve, sep } from 'node:path'
import { messageOf } from '../core/message-of.js'
import { OpenRun } from './open-run.js'

// Depth of the search: runs/ -> sweep/ -> setting/ -> seed/.
const deepest = 4
const contents = new Set(['rollouts', 'checkpoints', 'policy', 'node_modules'])

export class RunList {
  readonly root: string
  readonly #open = new Map<string, OpenRun>()
  /** Runs that cannot be opened, with the reason that was told. */
  readonly #broken = new Map<string, string>()

  constructor(
    folder: string,
    private readonly warn: (message: string) => void,
  ) {
    this.root = resolve(folder)
  }

  all(): OpenRun[] {
    const found = new Map(runFolders(this.root).map((path) => [this.#idOf(path), path]))
    for (const [id, run] of this.#open) {
      if (found.has(id) && run.isThere()) continue
      this.#open.delete(id)
      run.close().catch((error: unknown) => this.warn(`${run.path}: ${messageOf(error)}`))
    }
    for (const [id, path] of found) if (!this.#open.has(id)) this.#add(id, path)
    return [...this.#open.values()].sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }))
  }

  /** All runs, indexed as far as `milliseconds` allow. */
  async fresh(milliseconds: number): Promise<OpenRun[]> {
    const runs = this.all()
    await Promise.all(runs.map((run) => run.refresh(milliseconds)))
    return runs.filter((run) => !run.isClosed)
  }

  get(id: string): OpenRun | undefined {
    return this.all().find((run) => run.id === id)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((run) => run.close()))
    this.#open.clear()
  }

  /** A run that cannot be opened keeps no other from being shown. */
  #add(id: string, path: string): void {
    try {
      this.#open.set(id, new OpenRun(id, path, this.warn))
      this.#broken.delete(id)
    } catch (error) {
      const reason = messageOf(error)
      if (this.#broken.get(id) !== reason) this.warn(`${path} is not shown: ${reason}`)
      this.#broken.set(id, reason)
    }
  }

  #idOf(path: string): string {
    return relative(this.root, path).split(sep).join('/') || basename(path)
  }
}

/** `above`: the real paths of the folders that lead here; a link to one of them would go round for ever. */
function runFolders(folder: string, above: readonly string[] = []): string[] {
  if (existsSync(join(folder, 'metrics.jsonl'))) return [folder]
  if (above.length === deepest) return []
  const entries = readFolder(folder)
  if (!entries) return []
  const path = [...above, realpathSync(folder)]
  return entries
    .filter(({ name }) => !name.startsWith('.') && !contents.has(name))
    .map((entry) => ({ entry, inner: join(folder, entry.name) }))
    .filter(({ entry, inner }) => entry.isDirectory() || (entry.isSymbolicLink() && leadsOn(inner, path)))
    .flatMap(({ inner }) => runFolders(inner, path))
}

/** Undefined for a folder that was removed meanwhile, or that nobody may read. */
function readFolder(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (isUnreachable(error)) return undefined
    throw error
  }
}

/** Whether a link leads to a folder that is not above it. */
function leadsOn(link: string, above: readonly string[]): boolean {
  try {
    return statSync(link).isDirectory() && !above.includes(realpathSync(link))
  } catch (error) {
    if (isUnreachable(error)) return false
    throw error
  }
}

function isUnreachable(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException
  return ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP'].includes(code)
}
