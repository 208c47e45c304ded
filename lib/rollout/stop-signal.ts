import { setMaxListeners } from 'node:events'

/** Aborted when any of `signals` is. Every rollout and call of a group listens to it, which is no leak. */
export function stopSignal(...signals: (AbortSignal | undefined)[]): AbortSignal {
  const stop = AbortSignal.any(signals.filter((signal) => signal !== undefined))
  setMaxListeners(0, stop)
  return stop
}
