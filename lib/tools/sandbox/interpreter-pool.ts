// Interpreters for many rollouts at once: one for each rollout that runs code, kept until the rollout ends and never given to
// another. Calls run in the order in which they came, up to `concurrency` at once. Calls of one rollout run one after the other
// and hold one place in the queue, so that no rollout crowds out the rest.
import pLimit, { type LimitFunction } from 'p-limit'
import type { ToolContext } from '../types.js'
import type { CellResult, InterpreterProcess } from './interpreter-process.js'
import type { SandboxLimits } from './options.js'

interface Session {
  interpreter: InterpreterProcess | undefined
  starting: boolean
  /** The interpreter was ended to make room, or killed at a limit: its state is gone. */
  lost: boolean
  over: boolean
  calls: LimitFunction
  lastUsed: number
}

export interface PoolResult extends CellResult {
  /** Earlier calls of the rollout had another interpreter, whose state is gone. */
  fresh: boolean
}

export class InterpreterPool {
  readonly #start: () => Promise<InterpreterProcess>
  readonly #limits: SandboxLimits
  readonly #places: LimitFunction
  readonly #sessions = new Map<AbortSignal | string, Session>()
  #spare: Promise<InterpreterProcess> | undefined
  #uses = 0
  #closed = false

  constructor(start: () => Promise<InterpreterProcess>, limits: SandboxLimits) {
    this.#start = start
    this.#limits = limits
    this.#places = pLimit(limits.concurrency)
  }

  /** Resolves once an interpreter is ready, which proves that the sandbox works on this machine. */
  async warm(): Promise<void> {
    this.#spare ??= this.#start()
    await this.#spare
  }

  /** Runs code in the rollout's interpreter. Rejects at a limit, a crash or an abort. */
  run(code: string, { signal, rolloutId, rolloutEnded }: ToolContext): Promise<PoolResult> {
    if (this.#closed) throw new Error('the sandbox is closed')
    const session = this.#session(rolloutEnded ?? rolloutId)
    return session.calls(() => this.#places(() => this.#execute(session, code, signal)))
  }

  /** Kills all interpreters; calls under way reject. */
  async close(): Promise<void> {
    this.#closed = true
    for (const key of [...this.#sessions.keys()]) this.#end(key)
    const spare = this.#spare
    this.#spare = undefined
    await spare?.then(
      (interpreter) => interpreter.kill(),
      // A spare that failed to start is reported to the call that needs it; after close there is none.
      () => {},
    )
  }

  /** The number of interpreters that rollouts hold. */
  get size(): number {
    return this.#holders().length
  }

  #session(key: AbortSignal | string): Session {
    const known = this.#sessions.get(key)
    if (known) return known
    const session = {
      interpreter: undefined,
      starting: false,
      lost: false,
      over: false,
      calls: pLimit(1),
      lastUsed: 0,
    }
    this.#sessions.set(key, session)
    if (key instanceof AbortSignal) {
      key.addEventListener('abort', () => this.#end(key), { once: true })
      if (key.aborted) this.#end(key)
    }
    return session
  }

  #end(key: AbortSignal | string): void {
    const session = this.#sessions.get(key)
    if (!session) return
    session.over = true
    session.interpreter?.kill()
    this.#sessions.delete(key)
  }

  async #execute(session: Session, code: string, signal: AbortSignal): Promise<PoolResult> {
    signal.throwIfAborted()
    session.lastUsed = ++this.#uses
    if (session.interpreter && !session.interpreter.alive) this.#drop(session)
    const fresh = session.lost
    session.lost = false
    const interpreter = session.interpreter ?? (await this.#give(session))
    try {
      return { ...(await interpreter.run(code, signal)), fresh }
    } catch (error) {
      // This error already says that the state is lost; the next call need not repeat it.
      session.interpreter = undefined
      throw error
    }
  }

  async #give(session: Session): Promise<InterpreterProcess> {
    this.#makeRoom()
    session.starting = true
    try {
      session.interpreter = await this.#take()
    } finally {
      session.starting = false
    }
    if (session.over || this.#closed) {
      session.interpreter.kill()
      throw new Error(this.#closed ? 'the sandbox is closed' : 'the rollout is over')
    }
    if (this.#spare === undefined && this.size < this.#limits.interpreters) this.#prepareSpare()
    return session.interpreter
  }

  #take(): Promise<InterpreterProcess> {
    const spare = this.#spare
    this.#spare = undefined
    return spare ?? this.#start()
  }

  /** Starts an interpreter while the policy generates. If that fails, the call that needs it gets the error. */
  #prepareSpare(): void {
    this.#spare = this.#start()
    this.#spare.catch(() => {})
  }

  #makeRoom(): void {
    const idle = this.#holders().filter(({ calls, starting }) => calls.activeCount === 0 && !starting)
    if (this.size < this.#limits.interpreters || idle.length === 0) return
    this.#drop(idle.reduce((left, right) => (left.lastUsed <= right.lastUsed ? left : right)))
  }

  #drop(session: Session): void {
    session.interpreter?.kill()
    session.interpreter = undefined
    session.lost = true
  }

  #holders(): Session[] {
    return [...this.#sessions.values()].filter(
      ({ interpreter, starting }) => interpreter !== undefined || starting,
    )
  }
}
