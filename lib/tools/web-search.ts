// Search of the web, through whichever service the user has a key for.
import { homedir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import pLimit from 'p-limit'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { cacheKey, FolderCache } from '../core/folder-cache.js'
import { isRecord } from '../core/is-record.js'
import { addSecret } from '../core/secrets.js'
import { untilAborted } from '../core/until-aborted.js'
import { AttemptError, fetchWithRetries } from '../http/fetch-with-retries.js'
import { defineTool } from './define-tool.js'
import type { FinishedToolCall, Tool } from './types.js'
import { type WebAnswer, type WebSearchProvider, webSearchServices } from './web-search/providers.js'

export type { WebSearchProvider }

export interface WebSearchOptions {
  provider: WebSearchProvider
  /** 'images' is refused for as long as policies read text only. Default 'web'. */
  kind?: 'web' | 'images'
  /** Default: the environment variable SERPER_API_KEY, SERPAPI_API_KEY or BRAVE_API_KEY. */
  apiKey?: string
  /** Default 'web_search'. */
  name?: string
  description?: string
  /** Results of one call. Default 5. */
  results?: number
  /** Two letters (ISO 3166): where the search is made from. */
  country?: string
  /** Two letters (ISO 639). */
  language?: string
  /** Where answers are kept. Default: hdpo/web-search in the user's cache folder. false asks every time. */
  cache?: string | false
  /** Milliseconds after which an answer is asked for anew. Default: never. */
  cacheMaxAge?: number
  /** Requests under way at once. Default 8. */
  concurrency?: number
  /** Milliseconds for one request. Default 10,000. */
  timeout?: number
  /** Attempts after the first one, for time-outs, 429, 5xx and broken connections. Default 4. */
  retries?: number
  /** Milliseconds before the first retry, doubled for each further one; Retry-After counts. Default 500. */
  minimumDelay?: number
  /** Longest wait in milliseconds. Default 30,000. */
  maximumDelay?: number
  /** Instead of the service's own, for a proxy. */
  url?: string
  cost?: number | ((call: FinishedToolCall) => number)
}

const numbers = {
  results: z.int().min(1).max(100).default(5),
  cacheMaxAge: z.number().min(0).default(Number.MAX_SAFE_INTEGER),
  concurrency: z.int().min(1).default(8),
  timeout: z
    .number()
    .gt(0)
    .max(2 ** 31 - 1)
    .default(10_000),
  retries: z.int().min(0).default(4),
  minimumDelay: z.number().min(0).default(500),
  maximumDelay: z
    .number()
    .min(0)
    .max(2 ** 31 - 1)
    .default(30_000),
}
type Numbers = { [Name in keyof typeof numbers]: number }

/** Throws, naming the option or the environment variable, where something is missing. */
export function webSearchTool(options: WebSearchOptions): Tool<{ query: string }> {
  checkKind(options.kind)
  const limits = resolveNumbers(options)
  const search = createSearch(options, limits)
  const { name = 'web_search', description, cost } = options
  return defineTool({
    name,
    description:
      description ?? 'Searches the web. Returns titles, addresses and excerpts of the pages that match best.',
    input: z.object({ query: z.string().trim().min(1).max(1000) }),
    timeout: longestCall(limits),
    ...(cost !== undefined && { cost }),
    run: async ({ query }, { signal }) => describe(await search(query, signal), query),
  })
}

/** Answers from the cache where it has them; one request for a query that several rollouts make at once. */
function createSearch(options: WebSearchOptions, limits: Numbers) {
  const { provider, country, language, cache: folder = defaultCacheFolder() } = options
  const service = serviceOf(provider)
  const key = keyOf(options, service.keyVariable)
  const url = options.url ?? service.url
  const cache =
    folder === false ? undefined : new FolderCache(folder, { parse: parseAnswer, maxAge: limits.cacheMaxAge })
  const places = pLimit(limits.concurrency)
  const underWay = new Map<string, Promise<WebAnswer>>()
  const about = { results: limits.results, ...(country && { country }), ...(language && { language }) }

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
    // Others may be waiting for the same answer: an abort leaves it, the request goes on.
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
    return JSON.parse(text)
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

/** Where caches belong: XDG_CACHE_HOME, or .cache at home. */
function defaultCacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hdpo', 'web-search')
}

function parseAnswer(kept: unknown): WebAnswer | undefined {
  return isRecord(kept) && Array.isArray(kept.results) ? (kept as unknown as WebAnswer) : undefined
}

function checkKind(kind: unknown): void {
  if (kind === undefined || kind === 'web') return
  if (kind !== 'images') throw new RangeError(`kind: must be web or images, got ${inspect(kind)}`)
  throw new HdpoError(
    'ERR_IMAGE_RESULT',
    "kind: 'images' finds pictures, but policies read text only; a tool of your own may return a ToolOutput with images and a text",
  )
}

function serviceOf(provider: unknown) {
  if (typeof provider === 'string' && Object.hasOwn(webSearchServices, provider)) {
    return webSearchServices[provider as WebSearchProvider]
  }
  throw new RangeError(
    `provider: must be one of ${Object.keys(webSearchServices).join(', ')}, got ${inspect(provider)}`,
  )
}

function keyOf({ apiKey }: WebSearchOptions, variable: string): string {
  const key = apiKey ?? process.env[variable]
  if (typeof key !== 'string' || key === '') {
    throw new HdpoError('ERR_API_KEY', `web search needs a key: set the environment variable ${variable}`)
  }
  addSecret(key, apiKey === undefined ? variable : 'apiKey')
  return key
}

function resolveNumbers(options: WebSearchOptions): Numbers {
  const given = Object.fromEntries(Object.keys(numbers).map((name) => [name, options[name as keyof Numbers]]))
  const parsed = z.object(numbers).safeParse(given)
  if (parsed.success) return parsed.data
  const { code, path, message } = parsed.error.issues[0] as z.core.$ZodIssue
  const text = `${path.join('.')}: ${message}, got ${inspect(given[String(path[0])])}`
  throw code === 'invalid_type' ? new TypeError(text) : new RangeError(text)
}

/** All attempts and the waits between them, and as long again for a place. */
function longestCall({ timeout, retries, maximumDelay }: Numbers): number {
  return Math.min(2 * (timeout * (retries + 1) + maximumDelay * retries), 2 ** 31 - 1)
}
