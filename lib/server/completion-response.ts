// Formats choices as OpenAI's API does: as one chat.completion, or as a stream of chat.completion.chunk.
import { randomBytes } from 'node:crypto'
import type { Tokenizer } from '../policy/types.js'
import type { Choice, ChoicePiece, SentCall } from './completion.js'
import type { CompletionRequest } from './completion-request.js'

interface ResponseHeader {
  id: string
  /** Unix time in seconds. */
  created: number
  model: string
}

interface PromptCount {
  promptTokens: number
  cachedTokens: number
  promptTokenIds: readonly number[] | undefined
}

export function responseHeader(model: string): ResponseHeader {
  return {
    id: `chatcmpl-${randomBytes(15).toString('base64url')}`,
    created: Math.floor(Date.now() / 1000),
    model,
  }
}

export class ResponseWriter {
  constructor(
    private readonly header: ResponseHeader,
    private readonly request: CompletionRequest,
    private readonly tokenizer: Tokenizer,
  ) {}

  completion(choices: readonly Choice[], prompt: PromptCount): object {
    return {
      ...this.header,
      object: 'chat.completion',
      choices: choices.map((choice) => ({
        index: choice.index,
        message: {
          role: 'assistant',
          content: choice.content === '' && choice.calls.length > 0 ? null : choice.content,
          refusal: null,
          ...(choice.calls.length > 0 && { tool_calls: choice.calls.map(describeCall) }),
        },
        logprobs: this.#logprobs(choice),
        finish_reason: choice.finishReason,
        ...(this.request.returnTokenIds && { token_ids: Array.from(choice.tokens) }),
      })),
      usage: usage(choices, prompt),
      ...(prompt.promptTokenIds && { prompt_token_ids: prompt.promptTokenIds }),
    }
  }

  firstChunk(choice: number, prompt: PromptCount): object {
    const chunk = this.#chunk(choice, { role: 'assistant', content: '' })
    return { ...chunk, ...(prompt.promptTokenIds && { prompt_token_ids: prompt.promptTokenIds }) }
  }

  /** `callsBefore` is the number of the choice's calls in earlier chunks. */
  chunk(piece: ChoicePiece, callsBefore: number): object {
    const delta = {
      ...(piece.content !== '' && { content: piece.content }),
      ...(piece.calls.length > 0 && {
        tool_calls: piece.calls.map((call, index) => ({
          index: callsBefore + index,
          ...describeCall(call),
        })),
      }),
    }
    return this.#chunk(piece.choice, delta, {
      logprobs: this.#logprobs(piece),
      ...(this.request.returnTokenIds && { token_ids: Array.from(piece.tokens) }),
    })
  }

  lastChunk({ index, finishReason }: Choice): object {
    return this.#chunk(index, {}, { finish_reason: finishReason })
  }

  usageChunk(choices: readonly Choice[], prompt: PromptCount): object {
    return { ...this.header, object: 'chat.completion.chunk', choices: [], usage: usage(choices, prompt) }
  }

  #chunk(index: number, delta: object, more: object = {}): object {
    return {
      ...this.header,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
      ...(this.request.includeUsage && { usage: null }),
    }
  }

  /** Logprobs of every sampled token, including those of calls and the end of the turn. */
  #logprobs({ tokens, logprobs }: Pick<Choice, 'tokens' | 'logprobs'>): object | null {
    if (!this.request.logprobs) return null
    const content = Array.from(tokens, (token, index) => {
      const text = this.tokenizer.decode([token])
      return { token: text, logprob: logprobs[index], bytes: Array.from(Buffer.from(text)), top_logprobs: [] }
    })
    return { content, refusal: null }
  }
}

function describeCall({ id, name, arguments: input }: SentCall): object {
  return { id, type: 'function', function: { name, arguments: JSON.stringify(input) } }
}

function usage(
  choices: readonly Choice[],
  { promptTokens, cachedTokens }: PromptCount,
): { prompt_tokens: number; completion_tokens: number; total_tokens: number; prompt_tokens_details: object } {
  const completion = choices.reduce((sum, { tokens }) => sum + tokens.length, 0)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completion,
    total_tokens: promptTokens + completion,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  }
}
