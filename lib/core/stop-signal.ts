// Combines several signals into one for as long as some work lasts. (AbortSignal.any leaks: a long-lived signal keeps something
// of every signal that was made from it, also in newer Node: https://github.com/nodejs/node/issues/64476.)
import { setMaxListeners } from 'node:events'
import { checkSignal } from './arguments.js'

/** Source -> the controllers that follow it. A source has one listener, however many rollouts follow it. */
const followersOf = new WeakMap<AbortSignal, Followers>()

interface Followers {
  controllers: Set<AbortController>
  onAbort: () => void
}

/** Runs `work` with a signal that is aborted when any of `signals` is, with the same reason. */
export async function withStopSignal<Result>(
  signals: readonly (AbortSignal | undefined)[],
  work: (stop: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController()
  // No limit on listeners: every rollout and call of a group listens to this signal, which is no leak.
  setMaxListeners(0, controller.signal)
  const sources = signals.filter((signal) => signal !== undefined)
  for (const source of sources) checkSignal(source)
  for (const source of sources) follow(source, controller)
  try {
    return await work(controller.signal)
  } finally {
    for (const source of sources) leave(source, controller)
  }
}

function follow(source: AbortSignal, controller: AbortController): void {
  if (source.aborted) {
    controller.abort(source.reason)
    return
  }
  let followers = followersOf.get(source)
  if (!followers) {
    const controllers = new Set<AbortController>()
    const onAbort = () => {
      followersOf.delete(source)
      for (const follower of controllers) follower.abort(source.reason)
    }
    followers = { controllers, onAbort }
    followersOf.set(source, followers)
    source.addEventListener('abort', onAbort, { once: true })
  }
  followers.controllers.add(controller)
}

function leave(source: AbortSignal, controller: AbortController): void {
  const followers = followersOf.get(source)
  if (!followers?.controllers.delete(controller) || followers.controllers.size > 0) return
  followersOf.delete(source)
  source.removeEventListener('abort', followers.onAbort)
}
