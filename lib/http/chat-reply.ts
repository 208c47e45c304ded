// Reads replies of foreign chat APIs, which may contain anything.
import { describeMistake, type OptionMistake } from '../core/option-error.js'
import { AttemptError } from './fetch-with-retries.js'

export interface ChatCompletion {
  choices?: { message?: unknown; finish_reason?: unknown }[]
  usage?: { prompt_tokens?: unknown; completion_tokens?: unknown }
}

export async function readCompletion(
  response: Response,
): Promise<{ completion: ChatCompletion | null; text: string }> {
  const text = await response.text()
  try {
    return { completion: JSON.parse(text) as ChatCompletion | null, text }
  } catch (error) {
    throw new AttemptError(`the endpoint sent no JSON: ${excerpt(text)}`, false, undefined, { cause: error })
  }
}

/** The failure of an attempt whose reply, `text`, is JSON but holds no message that can be read. */
export function noCompletion(mistake: OptionMistake, text: string): never {
  const problem = `the endpoint sent no chat completion: ${describeMistake(mistake)}`
  throw new AttemptError(`${problem}; it sent ${excerpt(text)}`, false)
}

/** A token count of the reply's usage; 0 where the API gives none. */
export function tokenCount(tokens: unknown): number {
  return typeof tokens === 'number' && tokens >= 0 && Number.isFinite(tokens) ? tokens : 0
}

export function excerpt(text: string): string {
  return JSON.stringify(text.length > 160 ? `${text.slice(0, 160)}...` : text)
}
