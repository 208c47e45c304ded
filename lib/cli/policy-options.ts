import type { PolicyOptions } from '../policy/policy.js'

/** How a policy is held in memory, from the keys that every config has. */
export function policyOptions(config: {
  threads?: number | undefined
  kvBudgetMiB?: number | undefined
  recompute?: boolean | undefined
}): PolicyOptions {
  return {
    ...(config.threads !== undefined && { threads: config.threads }),
    ...(config.kvBudgetMiB !== undefined && { kvBudgetBytes: Math.round(config.kvBudgetMiB * 2 ** 20) }),
    ...(config.recompute !== undefined && { recompute: config.recompute }),
  }
}
