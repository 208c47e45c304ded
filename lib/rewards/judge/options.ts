// How to reach a judge, and the checks of it.
import { resolve } from 'node:path'
import { addSecret } from '../../core/secrets.js'
import { FolderVerdictCache, MemoryVerdictCache, type VerdictCache } from './verdict-cache.js'

export interface JudgeOptions {
  /** Of an OpenAI-compatible API, e.g. 'https://api.openai.com/v1'; '/chat/completions' is added. */
  baseURL: string
  model: string
  /** The environment variable that holds the key. Default 'OPENAI_API_KEY'; an endpoint of your own may need none. */
  apiKeyVariable?: string
  /** The key itself, where it is in no environment variable. */
  apiKey?: string
  /** How often each thing is put to the judge; more than half of the votes have to agree. Default 1. */
  votes?: number
  /** Default 0 for one vote, 1 for several; null sends none, for models that refuse it. */
  temperature?: number | null
  /** Ask for a JSON reply through response_format. Default true; false for endpoints that refuse it. */
  jsonMode?: boolean
  /** Further fields of the request, e.g. { reasoning_effort: 'low' }. */
  body?: Record<string, unknown>
  /** Requests under way at once. Default 16. */
  concurrency?: number
  /** Milliseconds for one request. Default 60,000. */
  timeout?: number
  /** Attempts after the first one, for time-outs, 429, 5xx, a broken connection and replies that are no verdict. Default 4. */
  retries?: number
  /** Milliseconds before the first retry, doubled for each further one; Retry-After counts. Default 500. */
  minimumDelay?: number
  /** Longest wait in milliseconds. Default 30,000. */
  maximumDelay?: number
  /** Default 'memory'. A folder keeps verdicts for the next run; false asks every time. */
  cache?: 'memory' | false | { folder: string }
}

export interface ResolvedJudgeOptions {
  url: string
  model: string
  headers: Record<string, string>
  votes: number
  body: Record<string, unknown>
  concurrency: number
  retry: { timeout: number; retries: number; minimumDelay: number; maximumDelay: number }
  cache: VerdictCache | undefined
}

export function resolveJudgeOptions(options: JudgeOptions): ResolvedJudgeOptions {
  const { votes = 1, concurrency = 16, timeout = 60_000, retries = 4, cache = 'memory' } = options
  const { minimumDelay = 500, maximumDelay = 30_000, jsonMode = true, model } = options
  if (typeof model !== 'string' || model === '')
    throw new TypeError(`judge.model: must be the name of a model, got ${JSON.stringify(model)}`)
  whole('votes', votes, 1)
  whole('concurrency', concurrency, 1)
  whole('retries', retries, 0)
  milliseconds('timeout', timeout)
  milliseconds('minimumDelay', minimumDelay)
  milliseconds('maximumDelay', maximumDelay)
  const { temperature = votes === 1 ? 0 : 1 } = options
  const key = apiKey(options)
  return {
    url: completionsUrl(options.baseURL),
    model,
    headers: {
      'content-type': 'application/json',
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    },
    votes,
    body: {
      ...(temperature !== null && { temperature }),
      ...(jsonMode && { response_format: { type: 'json_object' } }),
      ...options.body,
    },
    concurrency,
    retry: { timeout, retries, minimumDelay, maximumDelay },
    cache: openCache(cache),
  }
}

function completionsUrl(baseURL: unknown): string {
  if (typeof baseURL !== 'string' || !/^https?:\/\//.test(baseURL) || !URL.canParse(baseURL))
    throw new TypeError(`judge.baseURL: must be an http or https address, got ${JSON.stringify(baseURL)}`)
  const url = new URL(baseURL)
  if (url.username !== '' || url.password !== '')
    throw new TypeError('judge.baseURL: must hold no user name or password; give apiKeyVariable')
  url.pathname = `${url.pathname.replace(/\/$/, '')}/chat/completions`
  return url.href
}

/** Undefined only where nobody asked for one: a variable that is named has to be set. */
function apiKey({ apiKey: given, apiKeyVariable }: JudgeOptions): string | undefined {
  const key = given ?? process.env[apiKeyVariable ?? 'OPENAI_API_KEY']
  if (key === undefined && apiKeyVariable !== undefined)
    throw new RangeError(`judge.apiKeyVariable: the environment has no variable "${apiKeyVariable}"`)
  // Placeholders that local servers are given ("none") are no secrets.
  if (key !== undefined && key.length >= 8) addSecret(key, 'judge.apiKey')
  return key
}

function openCache(cache: unknown): VerdictCache | undefined {
  if (cache === false) return undefined
  if (cache === 'memory') return new MemoryVerdictCache()
  const folder = (cache as { folder?: unknown } | null)?.folder
  if (typeof folder === 'string' && folder !== '') return new FolderVerdictCache(resolve(folder))
  throw new TypeError(`judge.cache: must be memory, false or { folder }, got ${JSON.stringify(cache)}`)
}

function whole(name: string, value: unknown, minimum: number): void {
  if (typeof value !== 'number')
    throw new TypeError(`judge.${name}: must be a whole number, got ${typeof value}`)
  if (!Number.isSafeInteger(value) || value < minimum)
    throw new RangeError(`judge.${name}: must be a whole number of at least ${minimum}, got ${value}`)
}

function milliseconds(name: string, value: unknown): void {
  if (typeof value !== 'number')
    throw new TypeError(`judge.${name}: must be milliseconds, got ${typeof value}`)
  if (!(value >= 0 && value < 2 ** 31))
    throw new RangeError(`judge.${name}: must be from 0 to less than 2^31 milliseconds, got ${value}`)
}
