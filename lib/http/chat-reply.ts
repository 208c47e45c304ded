// Reads replies of foreign chat APIs, which may contain anything.
import { parseJsonKeeping } from '../core/exact-json.js'
import { describeMistake, type OptionMistake } from '../core/option-error.js'
import { AttemptError, refusedAttempt } from './fetch-with-retries.js'
import { hiddenStatus } from './refusal.js'

export interface ChatCompletion {
  choices?: { message?: { content?: unknown; [field: string]: unknown }; finish_reason?: unknown }[]
  usage?: { prompt_tokens?: unknown; completion_tokens?: unknown }
}

export async function readCompletion(
  response: Response,
): Promise<{ completion: ChatCompletion | null; text: string }> {
  const text = await response.text()
  let completion: ChatCompletion | null
  try {
    completion = parseJsonKeeping(text, 'unheld') as ChatCompletion | null
  } catch (error) {
    throw new AttemptError(`the endpoint sent no JSON: ${excerpt(text)}`, false, undefined, { cause: error })
  }
  const status = hiddenStatus(completion)
  if (status !== undefined) throw refusedAttempt(status, text, response.headers.get('retry-after'))
  return { completion, text }
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
