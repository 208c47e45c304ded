// Sends a completion as server-sent events.
import { toApiError } from '../http/api-error.js'
import type { Completion } from './completion.js'
import type { ResponseWriter } from './completion-response.js'

interface StreamOptions {
  includeUsage: boolean
  choices: number
  /** Called when the reader has gone away. */
  cancel: () => void
  /** Called with an error after the response has begun. */
  onError: (error: unknown) => void
  onEnd: () => void
}

export function completionStream(
  completion: Completion,
  writer: ResponseWriter,
  options: StreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let open = true
  return new ReadableStream({
    async start(controller) {
      const send = (event: object | '[DONE]') => {
        const data = event === '[DONE]' ? event : JSON.stringify(event)
        if (open) controller.enqueue(encoder.encode(`data: ${data}\n\n`))
      }
      const calls = new Array<number>(options.choices).fill(0)
      for (let choice = 0; choice < options.choices; choice++) send(writer.firstChunk(choice, completion))
      // It is not awaited, because the stream's reader gets nothing before start() has returned.
      completion
        .run((piece) => {
          send(writer.chunk(piece, calls[piece.choice] as number))
          calls[piece.choice] = (calls[piece.choice] as number) + piece.calls.length
        })
        .then((choices) => {
          for (const choice of choices) send(writer.lastChunk(choice))
          if (options.includeUsage) send(writer.usageChunk(choices, completion))
          send('[DONE]')
        })
        .catch((error: unknown) => {
          if (open) options.onError(error)
          send(toApiError(error).toJSON())
        })
        .finally(() => {
          options.onEnd()
          if (open) controller.close()
        })
    },
    cancel() {
      open = false
      options.cancel()
    },
  })
}
