// Tracks completions under way, so that a closing server can break them off. (AbortSignal.any over the server's own signal leaks
// something of every request: see core/stop-signal.ts.)

interface ActiveRequest {
  /** Aborted when the client goes away or the server closes. */
  signal: AbortSignal
  abort(reason: unknown): void
  end(): void
}

interface Active {
  controller: AbortController
  ended: Promise<void>
}

export class ActiveRequests {
  readonly #active = new Set<Active>()

  begin(request: Request): ActiveRequest {
    const controller = new AbortController()
    const leave = () => controller.abort(request.signal.reason)
    request.signal.addEventListener('abort', leave, { once: true })
    if (request.signal.aborted) leave()
    let resolve = () => {}
    const ended = new Promise<void>((done) => {
      resolve = done
    })
    const active: Active = { controller, ended }
    this.#active.add(active)
    return {
      signal: controller.signal,
      abort: (reason) => controller.abort(reason),
      end: () => {
        request.signal.removeEventListener('abort', leave)
        this.#active.delete(active)
        resolve()
      },
    }
  }

  /** Resolves when all have ended and their sequences are released. */
  async abortAll(reason: unknown): Promise<void> {
    const active = [...this.#active]
    for (const { controller } of active) controller.abort(reason)
    await Promise.all(active.map(({ ended }) => ended))
  }
}
