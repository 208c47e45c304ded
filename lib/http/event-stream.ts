// Responses of server-sent events that arrive event by event, also through proxies and compressing middleware.

// Proxies give up connections that are silent for a minute (nginx), load balancers some sooner.
const heartbeatMilliseconds = 15_000
const contentType = 'text/event-stream; charset=utf-8'

/**
 * A response with the bytes of `events`, each chunk of which holds whole events. While there is nothing to send, a comment, which
 * clients skip, is sent every `heartbeat` milliseconds.
 */
export function eventStream(events: ReadableStream<Uint8Array>, heartbeat = heartbeatMilliseconds): Response {
  return new Response(withHeartbeat(events, heartbeat), {
    headers: {
      'content-type': contentType,
      // Compression would hold events back until it has a block of them.
      'cache-control': 'no-cache, no-transform',
      // nginx would collect them in its buffer.
      'x-accel-buffering': 'no',
    },
  })
}

export function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type') === contentType
}

function withHeartbeat(events: ReadableStream<Uint8Array>, milliseconds: number): ReadableStream<Uint8Array> {
  const reader = events.getReader()
  const comment = new TextEncoder().encode(':\n\n')
  let timer: NodeJS.Timeout
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setInterval(() => {
        // A client that does not read is sent nothing more.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(comment)
      }, milliseconds).unref()
    },
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        timer.refresh()
        if (!done) return controller.enqueue(value)
        clearInterval(timer)
        controller.close()
      } catch (error) {
        clearInterval(timer)
        throw error
      }
    },
    cancel(reason) {
      clearInterval(timer)
      return reader.cancel(reason)
    },
  })
}
