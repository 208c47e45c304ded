import { resolve } from 'node:path'
import type { z } from 'zod'
import type { PolicyOptions } from '../../policy/policy.js'
import { trainingKeys } from './policy-schema.js'

type PolicyConfig = {
  [Key in keyof typeof trainingKeys]?: z.input<(typeof trainingKeys)[Key]> | undefined
}

/** How a policy is held in memory, from the keys that every config has. Relative paths start at `folder`. */
export function policyOptions(config: PolicyConfig, folder = '.'): PolicyOptions {
  const { kvBudgetMiB, base, ...same } = splitPolicyKeys(config).policyConfig
  const given = Object.entries(same).filter(([, value]) => value !== undefined)
  return {
    ...(Object.fromEntries(given) as PolicyOptions),
    ...(kvBudgetMiB !== undefined && { kvBudgetBytes: Math.round(kvBudgetMiB * 2 ** 20) }),
    ...(base !== undefined && { base: resolve(folder, base) }),
  }
}

/** Splits a config's keys into those of the policy and those of the trainer. */
export function splitPolicyKeys<Config extends PolicyConfig>(
  config: Config,
): { policyConfig: PolicyConfig; settings: Omit<Config, keyof PolicyConfig> } {
  const isPolicyKey = ([key]: [string, unknown]) => Object.hasOwn(trainingKeys, key)
  const entries = Object.entries(config)
  return {
    policyConfig: Object.fromEntries(entries.filter(isPolicyKey)) as PolicyConfig,
    settings: Object.fromEntries(entries.filter((entry) => !isPolicyKey(entry))) as Omit<
      Config,
      keyof PolicyConfig
    >,
  }
}
