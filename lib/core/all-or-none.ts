import { withStopSignal } from './stop-signal.js'

/**
 * Runs `count` pieces of work side by side and resolves to their results in order. Each gets a signal, which is aborted with any
 * of `signals` and as soon as one piece rejects. That first rejection is passed on once all pieces have ended.
 */
export function allOrNone<Value>(
  count: number,
  signals: readonly (AbortSignal | undefined)[],
  work: (index: number, stop: AbortSignal) => Promise<Value>,
): Promise<Value[]> {
  const failed = new AbortController()
  return withStopSignal([...signals, failed.signal], async (stop) => {
    const begun = Array.from({ length: count }, (_, index) => work(index, stop))
    const all = Promise.all(begun)
    all.catch((error: unknown) => failed.abort(error))
    await Promise.allSettled(begun)
    return all
  })
}
