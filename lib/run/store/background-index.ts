// Keeps run.sqlite up to date in a thread of its own. The trainer announces that something was written and goes on; announcements
// within two seconds, or while the thread is busy, become one. A run that ends sooner starts no thread: its first reader indexes
// it. An index that cannot be written is reported once and given up: metrics.jsonl and rollouts/ hold everything.
import { Worker } from 'node:worker_threads'

interface Reply {
  error?: string
  /** Something happened that does not end the work under way. */
  warning?: string
}

const typeScript = import.meta.url.endsWith('.ts')

const delayMilliseconds = 2000

export class BackgroundIndex {
  readonly #path: string
  readonly #warn: (message: string) => void
  readonly #delay: number
  #worker: Worker | undefined
  #timer: NodeJS.Timeout | undefined
  #busy = false
  #again = false
  #failed = false
  #idle: (() => void) | undefined

  constructor(path: string, warn: (message: string) => void, delay = delayMilliseconds) {
    this.#path = path
    this.#warn = warn
    this.#delay = delay
  }

  /** Announces that the run has written. Returns at once. */
  update(): void {
    if (this.#failed || this.#timer) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#send()
    }, this.#delay)
    this.#timer.unref()
  }

  /** Resolves once everything written is indexed, if the thread was started, or once indexing has failed. */
  async close(): Promise<void> {
    const worker = this.#worker
    const pending = this.#timer !== undefined
    clearTimeout(this.#timer)
    if (!worker) return
    if (pending) this.#send()
    worker.ref()
    if (this.#busy && !this.#failed) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    if (!this.#failed) {
      const exited = new Promise((resolve) => worker.once('exit', resolve))
      worker.postMessage('close')
      await exited
    }
    await worker.terminate()
  }

  #send(): void {
    if (this.#failed) return
    if (this.#busy) {
      this.#again = true
      return
    }
    this.#busy = true
    this.#worker ??= this.#start()
    this.#worker.postMessage('update')
  }

  #start(): Worker {
    const entry = typeScript ? './index-worker-from-source.mjs' : './index-worker.js'
    const worker = new Worker(new URL(entry, import.meta.url), { workerData: { path: this.#path } })
    worker.unref()
    worker.on('message', (reply: Reply) => this.#replied(reply))
    worker.on('error', (error) => this.#fail(error.message))
    return worker
  }

  #replied({ error, warning }: Reply): void {
    if (warning !== undefined) {
      this.#warn(warning)
      return
    }
    if (error !== undefined) {
      this.#fail(error)
      return
    }
    this.#busy = false
    if (this.#again) {
      this.#again = false
      this.#send()
    } else this.#idle?.()
  }

  #fail(message: string): void {
    if (!this.#failed)
      this.#warn(`run.sqlite is no longer written, hdpo ui will index the run anew: ${message}`)
    this.#failed = true
    this.#idle?.()
  }
}
