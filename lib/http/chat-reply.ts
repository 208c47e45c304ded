// Reads replies of foreign chat APIs, which may contain anything.
import { parseJsonKeeping } from '../core/exact-json.js'
import { AttemptError } from './fetch-with-retries.js'

export interface ChatCompletion {
  choices?: { message?: { content?: unknown; tool_calls?: unknown }; finish_reason?: unknown }[]
  usage?: { prompt_tokens?: unknown; completion_tokens?: unknown }
}

export async function readCompletion(
  response: Response,
): Promise<{ completion: ChatCompletion | null; text: string }> {
  const text = await response.text()
  try {
    return { completion: parseJsonKeeping(text, 'unheld') as ChatCompletion | null, text }
  } catch (error) {
    throw new AttemptError(`the endpoint sent no JSON: ${excerpt(text)}`, false, undefined, { cause: error })
  }
}

/** A token count of the reply's usage; 0 where the API gives none. */
export function tokenCount(tokens: unknown): number {
  return typeof tokens === 'number' && tokens >= 0 && Number.isFinite(tokens) ? tokens : 0
}

export function excerpt(text: string): string {
  return JSON.stringify(text.length > 160 ? `${text.slice(0, 160)}...` : text)
}
