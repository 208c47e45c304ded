// Web search through the service that the user has a key for.
import { homedir } from 'node:os'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { parseJsonKeeping } from '../core/exact-json.js'
import { cacheKey, FolderCache } from '../core/folder-cache.js'
import { isRecord } from '../core/is-record.js'
import { readOptions } from '../core/options.js'
import { addSecret } from '../core/secrets.js'
import { untilAborted } from '../core/until-aborted.js'
import { AttemptError, fetchWithRetries } from '../http/fetch-with-retries.js'
import { defineTool } from './define-tool.js'
import type { Tool } from './types.js'
import { type ResolvedWebSearch, type WebSearchOptions, webSearchOptions } from './web-search/options.js'
import { type WebAnswer, type WebSearchProvider, webSearchServices } from './web-search/providers.js'

export type { WebSearchOptions, WebSearchProvider }

/** Throws InvalidOptionError, or ERR_API_KEY, which names the environment variable, where there is no key. */
export function webSearchTool(given: WebSearchOptions): Tool<{ query: string }> {
  const options = readOptions(webSearchOptions, given, 'webSearchTool')
  refuseImages(options.kind)
  const search = createSearch(options)
  const { name, description, cost, provider, results, country, language, url } = options
  return defineTool({
    name,
    description,
    input: z.object({ query: z.string().trim().min(1).max(1000) }),
    timeout: longestCall(options),
    ...(cost !== undefined && { cost }),
    identity: { provider, results, country, language, url },
    run: async ({ query }, { signal }) => describe(await search(query, signal), query),
  })
}

/** Takes answers from the cache where it has them; rollouts that ask the same query at once share one request. */
function createSearch(options: ResolvedWebSearch) {
  const { provider, results, country, language, cache: folder = defaultCacheFolder() } = options
  const { timeout, retries, minimumDelay, maximumDelay } = options
  const limits = { timeout, retries, minimumDelay, maximumDelay }
  const service = webSearchServices[provider]
  const key = keyOf(options, service.keyVariable)
  const url = options.url ?? service.url
  const cache =
    folder === false
      ? undefined
      : new FolderCache(folder, {
          parse: parseAnswer,
          maxAge: options.cacheMaxAge ?? Number.POSITIVE_INFINITY,
        })
  const places = pLimit(options.concurrency)
  const underWay = new Map<string, Promise<WebAnswer>>()
  const about = { results, ...(country && { country }), ...(language && { language }) }

  const ask = (query: string): Promise<WebAnswer> => {
    const request = service.request(url, { query, ...about }, key)
    const read = async (response: Response) => service.read(await parseBody(response))
    return fetchWithRetries(request.url, request.init, read, limits)
  }
  const find = async (query: string, asked: string): Promise<WebAnswer> => {
    const kept = await cache?.read(asked)
    if (kept) return kept
    const answer = await places(() => ask(query))
    await cache?.write(asked, answer)
    return answer
  }
  return async (query: string, signal: AbortSignal): Promise<WebAnswer> => {
    const asked = cacheKey(provider, url, query, about)
    // Other rollouts may wait for the same answer, so an abort ends only this wait, not the request.
    return untilAborted(signal, () => {
      const found = underWay.get(asked) ?? find(query, asked).finally(() => underWay.delete(asked))
      underWay.set(asked, found)
      return found
    })
  }
}

async function parseBody(response: Response): Promise<unknown> {
  const text = await response.text()
  try {
    return parseJsonKeeping(text, 'unheld')
  } catch (error) {
    throw new AttemptError(`the answer is not JSON: ${text.slice(0, 100)}`, false, undefined, {
      cause: error,
    })
  }
}

function describe({ direct, results }: WebAnswer, query: string): string {
  if (results.length === 0 && !direct) return `No results for "${query}".`
  const pages = results.map(({ title, url, snippet }, index) =>
    `[${index + 1}] ${title}\n${url}\n${snippet}`.trimEnd(),
  )
  return [...(direct ? [`Answer: ${direct}`] : []), ...pages].join('\n\n')
}

/** The user's cache folder: XDG_CACHE_HOME, or ~/.cache. */
function defaultCacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hdpo', 'web-search')
}

function parseAnswer(kept: unknown): WebAnswer | undefined {
  return isRecord(kept) && Array.isArray(kept.results) ? (kept as unknown as WebAnswer) : undefined
}

function refuseImages(kind: ResolvedWebSearch['kind']): void {
  if (kind === 'web') return
  throw new HdpoError(
    'ERR_IMAGE_RESULT',
    "kind: 'images' finds pictures, but policies read text only; a tool of your own may return a ToolOutput with images and a text",
  )
}

function keyOf({ apiKey }: ResolvedWebSearch, variable: string): string {
  const key = apiKey ?? process.env[variable]
  if (!key) {
    throw new HdpoError('ERR_API_KEY', `web search needs a key: set the environment variable ${variable}`)
  }
  addSecret(key, apiKey === undefined ? variable : 'apiKey')
  return key
}

/** Milliseconds of all attempts and the waits between them, doubled for the time in the queue. */
function longestCall({ timeout, retries, maximumDelay }: ResolvedWebSearch): number {
  return Math.min(2 * (timeout * (retries + 1) + maximumDelay * retries), 2 ** 31 - 1)
}
