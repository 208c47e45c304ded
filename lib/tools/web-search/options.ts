// Options of a web search tool.
import { z } from 'zod'
import { count, milliseconds, notNegative, path, secret, text, webAddress } from '../../core/option-kinds.js'
import type { OptionsOf, ResolvedOptions } from '../../core/options.js'
import { retryShape } from '../../http/retry-options.js'
import { toolCost, toolDescription, toolName } from '../tool-options.js'
import { type WebSearchProvider, webSearchServices } from './providers.js'

const providers = Object.keys(webSearchServices) as [WebSearchProvider, ...WebSearchProvider[]]

export const webSearchShape = {
  /** The search service. */
  provider: z.enum(providers),
  /** 'images' is refused, because policies read only text so far. Default 'web'. */
  kind: z.enum(['web', 'images']).default('web'),
  /** The service's API key. Default: the environment variable SERPER_API_KEY, SERPAPI_API_KEY or BRAVE_API_KEY. */
  apiKey: secret.optional(),
  /** The name that the policy calls the tool by. Default 'web_search'. */
  name: toolName.default('web_search'),
  /** The description that the policy reads. Default: that it searches the web. */
  description: toolDescription.default(
    'Searches the web. Returns titles, addresses and excerpts of the pages that match best.',
  ),
  /** Results per call. Default 5. */
  results: count.max(100).default(5),
  /** Where the search is made from: two letters, ISO 3166. Default: the service's own. */
  country: text.optional(),
  /** Language of the results: two letters, ISO 639. Default: the service's own. */
  language: text.optional(),
  /** The folder that answers are cached in; false turns the cache off. Default: hdpo/web-search in the user's cache folder. */
  cache: z.union([path, z.literal(false)]).optional(),
  /** Milliseconds after which a cached answer is fetched again. Default: never. */
  cacheMaxAge: notNegative.optional(),
  /** Requests under way at once. Default 8. */
  concurrency: count.default(8),
  ...retryShape,
  /** Milliseconds for one attempt, its body included. Default 10,000. */
  timeout: milliseconds.default(10_000),
  /** The URL of a proxy, asked instead of the service's own. */
  url: webAddress.optional(),
  /** What one call costs: a number, or a function of the finished call. Default: the reward counts calls. */
  cost: toolCost.optional(),
}
export const webSearchOptions = z.strictObject(webSearchShape)
export interface WebSearchOptions extends OptionsOf<typeof webSearchShape> {}
export type ResolvedWebSearch = ResolvedOptions<typeof webSearchShape>
