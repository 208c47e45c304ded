import type { RolloutPolicy } from '../policy/types.js'
import type { ActiveRequests } from './active-requests.js'
import type { PromptCache } from './prompt-cache.js'
import type { RolloutRegistry } from './rollout-registry.js'
import type { ResolvedServerOptions } from './server-options.js'
import type { WarnOnce } from './warn-once.js'

/** The state that the routes of one server share. */
export interface HandlerContext {
  options: ResolvedServerOptions
  policy: RolloutPolicy
  prompts: PromptCache
  registry: RolloutRegistry
  warn: WarnOnce
  active: ActiveRequests
  isClosing: () => boolean
  baseURL: () => string
  /** Unix time in seconds. */
  created: number
}
