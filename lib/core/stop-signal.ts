// One signal out of several, for as long as some work lasts. (AbortSignal.any would do, but a signal that lives long keeps something
// of every signal that was made from it, for good: https://github.com/nodejs/node/issues/64476, in newer Node too.)
import { setMaxListeners } from 'node:events'

/** Source -> those that follow it. A source has one listener, however many rollouts follow. */
const followersOf = new WeakMap<AbortSignal, Followers>()

interface Followers {
  controllers: Set<AbortController>
  onAbort: () => void
}

/** `work` with a signal that is aborted, with the same reason, when any of `signals` is. */
export async function withStopSignal<Result>(
  signals: readonly (AbortSignal | undefined)[],
  work: (stop: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController()
  // Every rollout and call of a group listens to it, which is no leak.
  setMaxListeners(0, controller.signal)
  const sources = signals.filter((signal) => signal !== undefined)
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
