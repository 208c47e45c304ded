// A model behind an OpenAI-compatible chat API: one request per turn.
import { z } from 'zod'
import { jsonText } from '../core/exact-json.js'
import type { OptionMistake } from '../core/option-error.js'
import { secret, text, webAddress } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { noCompletion, readCompletion, tokenCount } from '../http/chat-reply.js'
import { fetchWithRetries } from '../http/fetch-with-retries.js'
import { retryShape } from '../http/retry-options.js'
import { callIdSource } from '../policy/messages/call-id-source.js'
import { type ReadReply, readReply, type WireMessage } from '../policy/messages/read-reply.js'
import type { ToolDescription } from '../policy/types.js'

export const chatEndpointShape = {
  /** The address before /chat/completions: 'https://api.openai.com/v1'. */
  baseURL: webAddress,
  /** The name of the model, as the API knows it. */
  model: text,
  /** Sent as the bearer token. Default: no token is sent. */
  key: secret.optional(),
  /** Fields of every request besides model, messages and tools, e.g. { temperature: 0, max_tokens: 500 }. */
  body: z.record(z.string(), z.unknown()).readonly().optional(),
  /** How often and how patiently a request is made. */
  retry: z.strictObject(retryShape).prefault({}),
}
const chatEndpointOptions = z.strictObject(chatEndpointShape)
interface ChatEndpointOptions extends OptionsOf<typeof chatEndpointShape> {}

export interface ChatReply extends ReadReply {
  /** 'length' if the reply was cut off. */
  finishReason: string
  promptTokens: number
  completionTokens: number
}

export class ChatEndpoint {
  readonly #url: URL
  readonly #headers: Record<string, string>

  readonly #options: ResolvedOptions<typeof chatEndpointShape>

  /** Throws InvalidOptionError. */
  constructor(options: ChatEndpointOptions) {
    this.#options = readOptions(chatEndpointOptions, options, 'endpoint')
    const { baseURL, key } = this.#options
    this.#url = new URL(`${baseURL.replace(/\/+$/, '')}/chat/completions`)
    this.#headers = {
      'content-type': 'application/json',
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    }
  }

  /** `idOf` gives calls their ids, which are unique in a conversation. Rejects with an AttemptError once the retries are used up. */
  complete(
    messages: readonly WireMessage[],
    tools: readonly ToolDescription[],
    toolChoice: 'auto' | 'none' | 'required',
    signal?: AbortSignal,
    idOf = callIdSource(),
  ): Promise<ChatReply> {
    const { model, body, retry } = this.#options
    const request = {
      ...body,
      model,
      messages,
      ...(tools.length > 0 && { tools: tools.map(toWireTool), tool_choice: toolChoice }),
    }
    const init = { method: 'POST', headers: this.#headers, body: jsonText(request) as string }
    return fetchWithRetries(this.#url, init, (response) => readChoice(response, idOf), {
      ...retry,
      ...(signal && { signal }),
    })
  }
}

function toWireTool({ name, description, parameters }: ToolDescription) {
  return { type: 'function', function: { name, description, parameters } }
}

async function readChoice(response: Response, idOf: (given: unknown) => string): Promise<ChatReply> {
  const { completion, text } = await readCompletion(response)
  const choice = completion?.choices?.[0]
  const fail = (mistake: OptionMistake): never => noCompletion(mistake, text)
  return {
    ...readReply(choice?.message, fail, idOf),
    finishReason: typeof choice?.finish_reason === 'string' ? choice.finish_reason : 'stop',
    promptTokens: tokenCount(completion?.usage?.prompt_tokens),
    completionTokens: tokenCount(completion?.usage?.completion_tokens),
  }
}
