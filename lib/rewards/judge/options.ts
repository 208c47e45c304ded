// How to reach a judge.
import { resolve } from 'node:path'
import { z } from 'zod'
import { Described, InvalidOptionError } from '../../core/option-error.js'
import { count, notNegative, path, secret, text, textOf, webAddress } from '../../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../../core/options.js'
import { addSecret } from '../../core/secrets.js'
import { retryShape } from '../../http/retry-options.js'
import { FolderVerdictCache, MemoryVerdictCache, type VerdictCache } from './verdict-cache.js'

export const judgeShape = {
  /** Where an OpenAI-compatible API is, e.g. 'https://api.openai.com/v1'; '/chat/completions' is added. */
  baseURL: webAddress,
  /** The name of the model, as the API knows it. */
  model: text,
  /** The environment variable that holds the key. Default 'OPENAI_API_KEY'; an endpoint of your own may need none. */
  apiKeyVariable: text.optional(),
  /** The key itself, if it is in no environment variable. */
  apiKey: secret.optional(),
  /** How often the judge is asked about each thing; more than half of the votes have to agree. Default 1. */
  votes: count.default(1),
  /** How freely the judge samples; null sends none, for models that refuse it. Default 0 for one vote, 1 for several. */
  temperature: notNegative.nullable().optional(),
  /** Ask for a JSON reply through response_format. Default true; false for endpoints that refuse it. */
  jsonMode: z.boolean().default(true),
  /** Further fields of the request, e.g. { reasoning_effort: 'low' }. */
  body: z.record(z.string(), z.unknown()).optional(),
  /** Requests under way at once. Default 16. */
  concurrency: count.default(16),
  ...retryShape,
  /** Attempts after the first one, for time-outs, 429, 5xx, broken connections and replies that are no verdict. Default 4. */
  retries: retryShape.retries,
  /** Where verdicts are kept: { folder } keeps them for the next run; false asks every time. Default 'memory'. */
  cache: z.union([z.literal('memory'), z.literal(false), z.strictObject({ folder: path })]).default('memory'),
}
export const judgeOptions = z.strictObject(judgeShape)
export interface JudgeOptions extends OptionsOf<typeof judgeShape> {}

/** A judge with the rubric that it judges by. */
export const rubricShape = {
  ...judgeShape,
  /** What is right, in words. Default: an answer means the same as the reference answer; for tool use: every call was needed. */
  rubric: textOf('text that is not empty', (rubric) => rubric.trim() !== '').optional(),
}
export const rubricOptions = z.strictObject(rubricShape)

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

/** Throws InvalidOptionError. */
export function resolveJudgeOptions(options: JudgeOptions): ResolvedJudgeOptions {
  const { model, votes, concurrency, jsonMode, cache, ...judge } = readOptions(judgeOptions, options, 'judge')
  const { timeout, retries, minimumDelay, maximumDelay, temperature = votes === 1 ? 0 : 1 } = judge
  const key = apiKey(judge)
  return {
    url: completionsUrl(judge.baseURL),
    model,
    headers: {
      'content-type': 'application/json',
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    },
    votes,
    body: {
      ...(temperature !== null && { temperature }),
      ...(jsonMode && { response_format: { type: 'json_object' } }),
      ...judge.body,
    },
    concurrency,
    retry: { timeout, retries, minimumDelay, maximumDelay },
    cache: openCache(cache),
  }
}

function completionsUrl(baseURL: string): string {
  const url = new URL(baseURL)
  if (url.username !== '' || url.password !== '') {
    const expected = 'without user name and password (apiKeyVariable is for keys)'
    throw new InvalidOptionError('judge.baseURL', expected, new Described('one with them'))
  }
  url.pathname = `${url.pathname.replace(/\/$/, '')}/chat/completions`
  return url.href
}

/** A variable that is named has to be set; undefined if none is named and the default variable is not set. */
function apiKey({
  apiKey: given,
  apiKeyVariable,
}: Pick<JudgeOptions, 'apiKey' | 'apiKeyVariable'>): string | undefined {
  const key = given ?? process.env[apiKeyVariable ?? 'OPENAI_API_KEY']
  if (key === undefined && apiKeyVariable !== undefined) {
    const expected = 'the name of a variable that the environment has'
    throw new InvalidOptionError('judge.apiKeyVariable', expected, apiKeyVariable)
  }
  // Short placeholders for local servers ("none") are no secrets.
  if (key !== undefined && key.length >= 8) addSecret(key, 'judge.apiKey')
  return key
}

function openCache(cache: z.output<typeof judgeShape.cache>): VerdictCache | undefined {
  if (cache === false) return undefined
  return cache === 'memory' ? new MemoryVerdictCache() : new FolderVerdictCache(resolve(cache.folder))
}
