// Writes a server's rollouts to rollouts.jsonl in a folder, one line of JSON per ended rollout.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LineFile } from '../core/line-file.js'
import { rolloutLine } from '../rollout/rollout-line.js'
import type { Rollout } from '../rollout/types.js'

export class RolloutLog {
  private constructor(private readonly file: LineFile) {}

  /** Half a line, which a crash left, is removed from the end of the file; `warn` is told. */
  static async open(folder: string, warn: (message: string) => void): Promise<RolloutLog> {
    await mkdir(folder, { recursive: true })
    return new RolloutLog(await LineFile.open(join(folder, 'rollouts.jsonl'), warn))
  }

  get path(): string {
    return this.file.path
  }

  /** Rejects with ERR_SYSTEM where this line could not be written; later lines are still tried. */
  append(played: Rollout): Promise<void> {
    return this.file.append(rolloutLine(played))
  }
}
