// run.sqlite kept up to date by a thread of its own. The trainer says that something was written and goes on; several words while
// the thread is busy become one. An index that cannot be written is told once and left: metrics.jsonl and rollouts/ hold everything.
import { Worker } from 'node:worker_threads'

interface Reply {
  done: 'update' | 'close'
  error?: string
}

const typeScript = import.meta.url.endsWith('.ts')

export class BackgroundIndex {
  readonly #worker: Worker
  readonly #warn: (message: string) => void
  #busy = false
  #again = false
  #failed = false
  #idle: (() => void) | undefined

  constructor(path: string, warn: (message: string) => void) {
    this.#warn = warn
    this.#worker = new Worker(
      new URL(typeScript ? './index-worker.ts' : './index-worker.js', import.meta.url),
      {
        workerData: { path },
        // A clone runs its TypeScript sources.
        execArgv: typeScript ? ['--import', import.meta.resolve('tsx')] : [],
      },
    )
    this.#worker.unref()
    this.#worker.on('message', (reply: Reply) => this.#replied(reply))
    this.#worker.on('error', (error) => this.#fail(error.message))
  }

  /** Returns at once. */
  update(): void {
    if (this.#failed) return
    if (this.#busy) {
      this.#again = true
      return
    }
    this.#busy = true
    this.#worker.postMessage('update')
  }

  /** Once all that was written is indexed, or the index has failed. */
  async close(): Promise<void> {
    if (this.#busy && !this.#failed) {
      this.#worker.ref()
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    if (!this.#failed) {
      const exited = new Promise((resolve) => this.#worker.once('exit', resolve))
      this.#worker.ref()
      this.#worker.postMessage('close')
      await exited
    }
    await this.#worker.terminate()
  }

  #replied({ done, error }: Reply): void {
    if (error !== undefined) {
      this.#fail(error)
      return
    }
    if (done === 'close') return
    this.#busy = false
    if (this.#again) {
      this.#again = false
      this.update()
    } else this.#idle?.()
  }

  #fail(message: string): void {
    if (!this.#failed)
      this.#warn(`run.sqlite is no longer written, hdpo ui will index the run anew: ${message}`)
    this.#failed = true
    this.#idle?.()
  }
}
