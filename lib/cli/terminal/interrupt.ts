// Ctrl-C: the first one asks the run to finish its step and save, the second one ends the process at once.
// Both are safe: what a run writes is either whole or ignored (trainer/checkpoint.ts).
interface InterruptSource {
  on(event: 'SIGINT' | 'SIGTERM', listener: () => void): unknown
  off(event: 'SIGINT' | 'SIGTERM', listener: () => void): unknown
  exit(code: number): void
}

interface Interrupt {
  /** It is aborted by the first interruption. */
  signal: AbortSignal
  /** Stops listening. */
  dispose(): void
}

export function listenForInterrupt(
  say: (line: string) => void,
  source: InterruptSource = process,
): Interrupt {
  const controller = new AbortController()
  const onSignal = () => {
    // 130 = 128 + SIGINT, the exit code that a shell reports for a process that Ctrl-C ended.
    if (controller.signal.aborted) {
      source.exit(130)
      return
    }
    controller.abort()
    say('Finishing this step, then saving. Press Ctrl-C again to stop at once.')
  }
  source.on('SIGINT', onSignal)
  source.on('SIGTERM', onSignal)
  return {
    signal: controller.signal,
    dispose() {
      source.off('SIGINT', onSignal)
      source.off('SIGTERM', onSignal)
    },
  }
}

/** Resolves on the first Ctrl-C or SIGTERM; a second one ends the process as usual. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}
