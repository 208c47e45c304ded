// An OpenAI-compatible endpoint on a local port that does what a test tells it to, request by request.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ReceivedRequest {
  path: string
  authorization: string | undefined
  body: { model: string; messages: { role: string; content: string }[]; temperature?: number }
}

export type Behaviour = (response: ServerResponse, request: ReceivedRequest, index: number) => void

export class MisbehavingEndpoint {
  readonly requests: ReceivedRequest[] = []
  /** The most requests that were under way at once. */
  busiest = 0
  #busy = 0
  #behave: Behaviour = (response) => say(response, true)
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  static async start(behave?: Behaviour): Promise<MisbehavingEndpoint> {
    const endpoint = new MisbehavingEndpoint()
    if (behave) endpoint.behave(behave)
    await new Promise<void>((resolve) => endpoint.#server.listen(0, '127.0.0.1', resolve))
    return endpoint
  }

  get baseURL(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`
  }

  behave(behave: Behaviour): void {
    this.#behave = behave
    this.requests.length = 0
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#busy++
    this.busiest = Math.max(this.busiest, this.#busy)
    response.on('close', () => this.#busy--)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const received = {
      path: request.url ?? '',
      authorization: request.headers.authorization,
      body: JSON.parse(Buffer.concat(chunks).toString()),
    }
    this.#behave(response, received, this.requests.push(received) - 1)
  }
}

export function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, headers).end(body)
}

export function complete(response: ServerResponse, content: unknown): void {
  const usage = { prompt_tokens: 10, completion_tokens: 5 }
  send(response, 200, JSON.stringify({ choices: [{ message: { role: 'assistant', content } }], usage }))
}

export function say(response: ServerResponse, correct: boolean): void {
  complete(response, JSON.stringify({ reason: 'because', correct }))
}
