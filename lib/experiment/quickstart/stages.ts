// A long job in named stages. Each result is kept as <folder>/<stage>.json, from where a resumed job reads it.
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { readJsonObject } from '../../core/json-file.js'
import { runExists } from '../../run/run-folder.js'

interface Kept<Result> {
  seconds: number
  result: Result
}

export class Stages {
  /** Wall-clock seconds per stage; for an interrupted stage only the part after the last resume. */
  readonly seconds: Record<string, number> = {}

  private constructor(
    private readonly folder: string,
    private readonly resume: boolean,
  ) {}

  static async open(folder: string, resume: boolean): Promise<Stages> {
    await mkdir(folder, { recursive: true })
    return new Stages(folder, resume)
  }

  /** Whether an earlier process has finished the stage. */
  isKept(name: string): boolean {
    return existsSync(this.#pathOf(name))
  }

  /** Runs `work`, or returns its kept result. A stage that throws keeps nothing. */
  async run<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const path = this.#pathOf(name)
    if (existsSync(path)) {
      if (!this.resume) throw runExists(this.folder)
      const kept = (await readJsonObject(path, 'ERR_RUN_FOLDER')) as unknown as Kept<Result>
      this.seconds[name] = kept.seconds
      return kept.result
    }
    const start = performance.now()
    const result = await work()
    const seconds = (performance.now() - start) / 1000
    this.seconds[name] = seconds
    await writeFileAtomic(path, `${JSON.stringify({ seconds, result } satisfies Kept<Result>, null, 2)}\n`)
    return result
  }

  #pathOf(name: string): string {
    return join(this.folder, `${name}.json`)
  }
}
