// One adapter per web search service: how it is asked, and how its answer is read. The APIs are documented at serper.dev,
// serpapi.com and api-dashboard.search.brave.com.
import { isRecord } from '../../core/is-record.js'
import { AttemptError } from '../../http/fetch-with-retries.js'

interface WebResult {
  title: string
  url: string
  snippet: string
}

export interface WebAnswer {
  /** The service's own direct answer, where it gives one. */
  direct?: string
  results: WebResult[]
}

interface WebQuery {
  query: string
  /** The most results to return. */
  results: number
  /** Two letters, ISO 3166. */
  country?: string
  /** Two letters, ISO 639. */
  language?: string
}

interface WebSearchService {
  /** The environment variable that holds the API key. */
  keyVariable: string
  url: string
  request(url: string, query: WebQuery, key: string): { url: string; init: RequestInit }
  /** Reads a response body. Throws an AttemptError for a body that is no answer. */
  read(body: unknown): WebAnswer
}

type Fields = Record<string, unknown>

const serper: WebSearchService = {
  keyVariable: 'SERPER_API_KEY',
  url: 'https://google.serper.dev/search',
  request: (url, { query, results, country, language }, key) => ({
    url,
    init: {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ q: query, num: results, gl: country, hl: language }),
    },
  }),
  read(body) {
    const { organic, answerBox } = fieldsOf(body)
    return {
      ...directAnswer(answerBox),
      results: listOf(organic, 'organic').map(toResult('link', 'snippet')),
    }
  },
}

const serpapi: WebSearchService = {
  keyVariable: 'SERPAPI_API_KEY',
  url: 'https://serpapi.com/search.json',
  request(url, { query, results, country, language }, key) {
    const parameters = {
      engine: 'google',
      q: query,
      num: String(results),
      gl: country,
      hl: language,
      api_key: key,
    }
    return { url: withParameters(url, parameters), init: {} }
  },
  read(body) {
    const { organic_results: organic, answer_box: answerBox, error } = fieldsOf(body)
    // SerpApi reports an empty result as an error.
    if (typeof error === 'string' && /hasn't returned any results/i.test(error)) return { results: [] }
    if (error !== undefined) throw new AttemptError(String(error), true)
    return {
      ...directAnswer(answerBox),
      results: listOf(organic ?? [], 'organic_results').map(toResult('link', 'snippet')),
    }
  },
}

const brave: WebSearchService = {
  keyVariable: 'BRAVE_API_KEY',
  url: 'https://api.search.brave.com/res/v1/web/search',
  request(url, { query, results, country, language }, key) {
    // Brave refuses longer queries and more results.
    const parameters = {
      q: query.slice(0, 400),
      count: String(Math.min(results, 20)),
      country,
      search_lang: language,
    }
    return {
      url: withParameters(url, parameters),
      init: { headers: { accept: 'application/json', 'x-subscription-token': key } },
    }
  },
  read(body) {
    const { web } = fieldsOf(body)
    // Brave leaves `web` out where it found nothing.
    if (web === undefined) return { results: [] }
    return { results: listOf(fieldsOf(web).results, 'web.results').map(toResult('url', 'description')) }
  },
}

export const webSearchServices = { serper, serpapi, brave }
export type WebSearchProvider = keyof typeof webSearchServices

function withParameters(url: string, parameters: Record<string, string | undefined>): string {
  const complete = new URL(url)
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) complete.searchParams.set(name, value)
  }
  return complete.href
}

function directAnswer(box: unknown): { direct?: string } {
  const { answer, snippet } = (typeof box === 'object' && box !== null ? box : {}) as Fields
  const direct = [answer, snippet].find((text) => typeof text === 'string' && text !== '')
  return direct === undefined ? {} : { direct: direct as string }
}

function toResult(urlField: string, snippetField: string) {
  return (entry: unknown): WebResult => {
    const fields = fieldsOf(entry)
    return { title: plain(fields.title), url: plain(fields[urlField]), snippet: plain(fields[snippetField]) }
  }
}

const entities: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
  '#x27': "'",
  nbsp: ' ',
}

/** Removes the <strong> with which Brave marks matches, and decodes the HTML entities of page text. */
function plain(text: unknown): string {
  return String(text ?? '')
    .replaceAll(/<\/?[a-z][^<>]*>/gi, '')
    .replaceAll(/&([a-z]+|#\w+);/gi, (whole, name: string) => entities[name.toLowerCase()] ?? whole)
    .replaceAll(/\s+/g, ' ')
    .trim()
}

function fieldsOf(value: unknown): Fields {
  if (isRecord(value)) return value
  throw new AttemptError('the answer is not what the service documents', false)
}

function listOf(value: unknown, name: string): unknown[] {
  if (Array.isArray(value)) return value
  throw new AttemptError(`the answer has no list "${name}"`, false)
}
