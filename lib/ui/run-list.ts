// The runs under a folder; new ones are found as they appear.
import { existsSync, readdirSync } from 'node:fs'
import { basename, join, relative, resolve, sep } from 'node:path'
import { OpenRun } from './open-run.js'

// Depth of the search: runs/ -> sweep/ -> setting/ -> seed/.
const deepest = 4
const contents = new Set(['rollouts', 'checkpoints', 'policy', 'node_modules'])

export class RunList {
  readonly root: string
  readonly #open = new Map<string, OpenRun>()

  constructor(folder: string) {
    this.root = resolve(folder)
  }

  all(): OpenRun[] {
    for (const path of runFolders(this.root, deepest)) {
      const id = relative(this.root, path).split(sep).join('/') || basename(path)
      if (!this.#open.has(id)) this.#open.set(id, new OpenRun(id, path))
    }
    return [...this.#open.values()].sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }))
  }

  get(id: string): OpenRun | undefined {
    return this.#open.get(id) ?? this.all().find((run) => run.id === id)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((run) => run.close()))
    this.#open.clear()
  }
}

function runFolders(folder: string, depth: number): string[] {
  if (existsSync(join(folder, 'metrics.jsonl'))) return [folder]
  if (depth === 0 || !existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !contents.has(entry.name))
    .flatMap((entry) => runFolders(join(folder, entry.name), depth - 1))
}
