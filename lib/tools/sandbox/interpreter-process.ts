// One interpreter in a process of its own, seen from outside: a cell of code goes in, its output comes out, and the process is
// killed at a limit. Its messages are not trusted: they may be any bytes, any number of them, or none.
import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { Readable, Writable } from 'node:stream'
import { HdpoError } from '../../core/errors.js'
import { ToolTimeoutError } from '../tool-timeout-error.js'
import { type Command, startCommand } from './launch.js'
import type { SandboxLimits } from './options.js'
import { processUsage } from './process-usage.js'

export interface CellResult {
  output: string
  /** All characters that the code wrote: more than `output` holds where that was cut. */
  characters: number
}

interface Message {
  ready?: unknown
  id?: unknown
  output?: unknown
  characters?: unknown
  ended?: unknown
}

const startTime = 60_000
const watchInterval = 50
const longestReason = 500
const lost = 'what it had defined is lost'
// In JSON a character takes up to six bytes, a surrogate pair twice that.
const bytesPerCharacter = 12
// A process's resident memory may exceed the heap's limit by this much: compiled code, V8's own heap, fragmentation.
const residentSlack = 160 * 2 ** 20

export class InterpreterProcess {
  readonly #child: ChildProcess
  readonly #requests: Writable
  readonly #limits: SandboxLimits
  #received = Buffer.alloc(0)
  #complaints = ''
  #awaiting: { resolve: (message: Message) => void; reject: (error: Error) => void } | undefined
  #end: Error | undefined
  #residentAtStart = 0

  private constructor(command: Command, limits: SandboxLimits, snapshot: number | undefined) {
    this.#limits = limits
    this.#child = startCommand(command, ['pipe', 'ignore', 'pipe', 'pipe', snapshot ?? 'ignore'])
    this.#requests = this.#child.stdin as Writable
    this.#listen()
  }

  /** Starts a process. `snapshot` is the descriptor of an open file that the program reads at its start. */
  static async start(
    command: Command,
    limits: SandboxLimits,
    snapshot?: number,
  ): Promise<InterpreterProcess> {
    const interpreter = new InterpreterProcess(command, limits, snapshot)
    const tooSlow = setTimeout(
      () => interpreter.#kill(new Error(`not ready in ${startTime / 1000} s`)),
      startTime,
    )
    try {
      const { ready } = await interpreter.#nextMessage()
      if (ready !== true) throw new Error('did not say that it is ready')
      const usage = await processUsage(interpreter.#child.pid as number)
      interpreter.#residentAtStart = usage?.residentBytes ?? 0
      interpreter.#setReferenced(false)
      return interpreter
    } catch (error) {
      interpreter.kill()
      const details = interpreter.#complaints.trim()
      throw new HdpoError(
        'ERR_SANDBOX_START',
        `the sandbox does not start: ${(error as Error).message}${details && `\n${details}`}`,
        { cause: error },
      )
    } finally {
      clearTimeout(tooSlow)
    }
  }

  get alive(): boolean {
    return this.#end === undefined
  }

  /** Runs one cell; cells must not overlap. Rejects where the process is lost: to a limit, a crash, or `signal`. */
  async run(code: string, signal: AbortSignal): Promise<CellResult> {
    signal.throwIfAborted()
    if (this.#end) throw this.#end
    // Nobody who writes to the interpreter's answers could know it.
    const id = randomUUID()
    const stop = () => this.#kill(signal.reason instanceof Error ? signal.reason : new Error('stopped'))
    signal.addEventListener('abort', stop, { once: true })
    this.#setReferenced(true)
    const watch = this.#watch()
    try {
      this.#requests.write(`${JSON.stringify({ id, code })}\n`)
      return this.#result(await this.#nextMessage(), id)
    } finally {
      watch.stop()
      this.#setReferenced(false)
      signal.removeEventListener('abort', stop)
    }
  }

  kill(): void {
    this.#kill(new Error('the interpreter was closed'))
  }

  #kill(reason: Error): void {
    if (this.#end) return
    this.#end = reason
    this.#child.kill('SIGKILL')
    this.#awaiting?.reject(reason)
  }

  #result({ id, output, characters, ended }: Message, expected: string): CellResult {
    if (id !== expected || typeof output !== 'string' || typeof characters !== 'number') {
      this.#kill(new Error(`the interpreter answered out of turn; ${lost}`))
      throw this.#end
    }
    if (ended !== undefined) {
      this.#kill(
        new HdpoError(
          'ERR_SANDBOX_ENDED',
          `the interpreter ended: ${String(ended).slice(0, longestReason)}; ${lost}`,
        ),
      )
      throw this.#end
    }
    return { output, characters }
  }

  #nextMessage(): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end)
      this.#awaiting = { resolve, reject }
    })
  }

  #listen(): void {
    const [, , complaints, answers] = this.#child.stdio as unknown as [null, null, Readable, Readable]
    complaints.setEncoding('utf8')
    complaints.on('data', (text: string) => this.#complain(text))
    answers.on('data', (chunk: Buffer) => this.#receive(chunk))
    // Writes to a dead process fail here; 'close' reports its end.
    for (const stream of [this.#requests, complaints, answers]) stream.on('error', () => {})
    this.#child.on('error', (error) => this.#kill(error))
    // 'exit' may come before the process's last output (an answer, or why it ended); 'close' comes after it.
    this.#child.on('close', (code, signal) => this.#exited(code, signal))
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    if (signal === 'SIGXCPU') {
      this.#kill(new ToolTimeoutError(`used up the CPU time of its rollout; ${lost}`))
      return
    }
    // V8 aborts when its heap is full, the allocator when the kernel gives no more memory.
    if (signal === 'SIGABRT' || /out of memory|allocation failed/i.test(this.#complaints)) {
      this.#kill(this.#tooMuchMemory())
      return
    }
    const how = signal ?? `exit code ${code}`
    this.#kill(new HdpoError('ERR_SANDBOX_ENDED', `the code ended the interpreter (${how}); ${lost}`))
  }

  /** Keeps only the last 2,000 characters, without the line of source that Node quotes: in a bundle that line is a megabyte long. */
  #complain(text: string): void {
    this.#complaints = (this.#complaints + text).replace(/[^\n]{400,}/g, '[...]').slice(-2000)
  }

  #receive(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    if (this.#received.length > this.#limits.output * bytesPerCharacter + 4096) {
      this.#kill(new Error(`the interpreter sent more than it may; ${lost}`))
      return
    }
    const end = this.#received.indexOf('\n')
    if (end < 0) return
    const line = this.#received.toString('utf8', 0, end)
    this.#received = this.#received.subarray(end + 1)
    const awaiting = this.#awaiting
    this.#awaiting = undefined
    try {
      const message: unknown = JSON.parse(line)
      if (typeof message !== 'object' || message === null || !awaiting) throw new Error('not an answer')
      awaiting.resolve(message)
    } catch (error) {
      this.#awaiting = awaiting
      this.#kill(new Error(`the interpreter answered out of turn; ${lost}`, { cause: error }))
    }
  }

  /** Kills the process at a limit. CPU time counts from the call of #watch. */
  #watch(): { stop(): void } {
    const { cpuTime, wallTime } = this.#limits
    const pid = this.#child.pid as number
    const wall = setTimeout(
      () => this.#kill(new ToolTimeoutError(`stopped after ${wallTime} ms; ${lost}`)),
      wallTime,
    )
    let cpuAtStart: number | undefined
    let stopped = false
    let next: NodeJS.Timeout | undefined
    const check = async () => {
      const usage = await processUsage(pid)
      if (stopped || !usage) return
      cpuAtStart ??= usage.cpuMilliseconds
      if (usage.cpuMilliseconds - cpuAtStart > cpuTime) {
        return this.#kill(new ToolTimeoutError(`stopped after ${cpuTime} ms of CPU time; ${lost}`))
      }
      if (usage.residentBytes > this.#mostResident) return this.#kill(this.#tooMuchMemory())
      next = setTimeout(look, watchInterval)
    }
    const look = () => void check().catch((error: Error) => this.#kill(error))
    look()
    return {
      stop() {
        stopped = true
        clearTimeout(wall)
        clearTimeout(next)
      },
    }
  }

  get #mostResident(): number {
    return this.#residentAtStart + this.#limits.memory * 2 ** 20 + residentSlack
  }

  #tooMuchMemory(): Error {
    return new HdpoError('ERR_SANDBOX_MEMORY', `used more than ${this.#limits.memory} MiB of memory; ${lost}`)
  }

  /** Whether this process keeps our own from ending. */
  #setReferenced(referenced: boolean): void {
    const method = referenced ? 'ref' : 'unref'
    this.#child[method]()
    for (const stream of this.#child.stdio) (stream as { ref?(): void; unref?(): void } | null)?.[method]?.()
  }
}
