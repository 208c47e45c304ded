// What a web search is made by.
import { z } from 'zod'
import { count, milliseconds, notNegative, secret, text, webAddress } from '../../core/option-kinds.js'
import type { OptionsOf, ResolvedOptions } from '../../core/options.js'
import { retryShape } from '../../http/retry-options.js'
import { toolCost, toolDescription, toolName } from '../tool-options.js'
import { type WebSearchProvider, webSearchServices } from './providers.js'

const providers = Object.keys(webSearchServices) as [WebSearchProvider, ...WebSearchProvider[]]

export const webSearchShape = {
  /** The service that is asked. */
  provider: z.enum(providers),
  /** 'images' is refused for as long as policies read text only. Default 'web'. */
  kind: z.enum(['web', 'images']).default('web'),
  /** Default: the environment variable SERPER_API_KEY, SERPAPI_API_KEY or BRAVE_API_KEY. */
  apiKey: secret.optional(),
  /** What the policy calls it. Default 'web_search'. */
  name: toolName.default('web_search'),
  /** What the policy reads about it. Default: that it searches the web. */
  description: toolDescription.default(
    'Searches the web. Returns titles, addresses and excerpts of the pages that match best.',
  ),
  /** Results of one call. Default 5. */
  results: count.max(100).default(5),
  /** Two letters (ISO 3166): where the search is made from. Default: as the service has it. */
  country: text.optional(),
  /** Two letters (ISO 639). Default: as the service has it. */
  language: text.optional(),
  /** The folder that keeps answers; false asks every time. Default: hdpo/web-search in the user's cache folder. */
  cache: z.union([text, z.literal(false)]).optional(),
  /** Milliseconds after which an answer is asked for anew. Default: never. */
  cacheMaxAge: notNegative.optional(),
  /** Requests under way at once. Default 8. */
  concurrency: count.default(8),
  ...retryShape,
  /** Milliseconds for one attempt, its body included. Default 10,000. */
  timeout: milliseconds.default(10_000),
  /** An address that is asked instead of the service's own, for a proxy. */
  url: webAddress.optional(),
  /** What one call costs: a number, or a function of the finished call. Default: the reward counts calls. */
  cost: toolCost.optional(),
}
export const webSearchOptions = z.strictObject(webSearchShape)
export interface WebSearchOptions extends OptionsOf<typeof webSearchShape> {}
export type ResolvedWebSearch = ResolvedOptions<typeof webSearchShape>
