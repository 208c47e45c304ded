// Writes a server's rollouts to rollouts.jsonl in a folder, one line of JSON per ended rollout.
import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { rolloutLine } from '../rollout/rollout-line.js'
import type { Rollout } from '../rollout/types.js'

export class RolloutLog {
  /** Lines are written one after the other, so that they never mix. */
  #written: Promise<void> = Promise.resolve()

  private constructor(readonly path: string) {}

  static async open(folder: string): Promise<RolloutLog> {
    await mkdir(folder, { recursive: true })
    return new RolloutLog(join(folder, 'rollouts.jsonl'))
  }

  /** Rejects where this line could not be written; later lines are still tried. */
  append(played: Rollout): Promise<void> {
    const line = rolloutLine(played)
    const writing = this.#written.then(() => appendFile(this.path, line))
    this.#written = writing.catch(() => {})
    return writing
  }
}
