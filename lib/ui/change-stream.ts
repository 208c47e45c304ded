// Server-sent events with the state of all runs, sent whenever one has changed. Each open page has one timer; a check takes two
// stat calls per run.
import { eventStream } from '../http/event-stream.js'
import type { UiContext } from './ui-context.js'

export function changeStream({ runs, interval, warn }: UiContext, signal: AbortSignal): Response {
  const encoder = new TextEncoder()
  let timer: NodeJS.Timeout | undefined
  let last = ''
  const stop = () => clearTimeout(timer)
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const look = async () => {
        try {
          const found = await runs.fresh(interval)
          const state = JSON.stringify(found.map((run) => run.status()))
          if (signal.aborted) return
          // Where nothing has changed, a comment shows both sides that the connection is alive.
          controller.enqueue(encoder.encode(state === last ? ':\n\n' : `event: runs\ndata: ${state}\n\n`))
          last = state
        } catch (error) {
          if (signal.aborted) return
          warn(`the live view: ${(error as Error).message}`)
        }
        timer = setTimeout(look, interval)
      }
      signal.addEventListener('abort', stop, { once: true })
      return look()
    },
    cancel: stop,
  })
  return eventStream(body)
}
