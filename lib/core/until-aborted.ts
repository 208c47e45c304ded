import { checkSignal } from './arguments.js'

/**
 * Resolves to the result of `work`, or rejects with the signal's reason as soon as it is aborted; what `work` does after that has
 * no effect. `work` is not begun where the signal is aborted already.
 */
export async function untilAborted<Value>(
  signal: AbortSignal,
  work: () => Value | Promise<Value>,
): Promise<Value> {
  checkSignal(signal)
  signal.throwIfAborted()
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([work(), aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
