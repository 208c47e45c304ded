// Completions under way, so that a server that closes can break them off. (AbortSignal.any over the server's own signal would do, but in
// Node 20 that signal keeps something of every request for good.)

export interface ActiveRequest {
  /** Aborted when the client goes away or the server closes. */
  signal: AbortSignal
  abort(reason: unknown): void
  end(): void
}

export class ActiveRequests {
  readonly #active = new Set<AbortController>()

  begin(request: Request): ActiveRequest {
    const controller = new AbortController()
    const leave = () => controller.abort(request.signal.reason)
    request.signal.addEventListener('abort', leave, { once: true })
    if (request.signal.aborted) leave()
    this.#active.add(controller)
    return {
      signal: controller.signal,
      abort: (reason) => controller.abort(reason),
      end: () => {
        request.signal.removeEventListener('abort', leave)
        this.#active.delete(controller)
      },
    }
  }

  abortAll(reason: unknown): void {
    for (const controller of this.#active) controller.abort(reason)
  }
}
