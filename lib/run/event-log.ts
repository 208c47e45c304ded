// events.jsonl of a run: its warnings, which the user is told as well, and the error that ended it.
import { messageOf } from '../core/message-of.js'
import { redact } from '../core/redact.js'
import type { RunFolder } from './run-folder.js'

export class EventLog {
  #writing: Promise<void> = Promise.resolve()

  constructor(
    private readonly folder: RunFolder,
    private readonly tell: (message: string) => void,
  ) {}

  warn(message: string): void {
    this.tell(redact(message))
    this.#append({ level: 'warning', message })
  }

  failed(error: unknown): void {
    const code = (error as { code?: unknown } | null)?.code
    const message = messageOf(error)
    this.#append({ level: 'error', message, ...(typeof code === 'string' && { code }) })
  }

  /** Resolves once all lines are on disk. A failure to write them (a full disk) is reported without hiding why the run ended. */
  async written(): Promise<void> {
    await this.#writing
  }

  #append(event: Parameters<RunFolder['appendEvent']>[0]): void {
    this.#writing = this.#writing
      .then(() => this.folder.appendEvent(event))
      .catch((error: Error) => this.tell(`events.jsonl could not be written: ${error.message}`))
  }
}
