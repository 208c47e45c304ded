import { withStopSignal } from './stop-signal.js'

/**
 * `count` pieces of work side by side; resolves to their results in order. The signal that each gets is aborted with any of `signals`,
 * and as soon as one of them rejects; the first rejection then rejects once all have ended.
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
