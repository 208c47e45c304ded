// A policy that is closed once the function that uses it has ended.
import { Policy, type PolicyOptions } from '../../lib/policy/policy.js'

export async function withPolicy<T>(
  folder: string,
  options: PolicyOptions,
  use: (policy: Policy) => Promise<T>,
): Promise<T> {
  return closing(await Policy.load(folder, { threads: 1, ...options }), use)
}

export async function closing<T>(policy: Policy, use: (policy: Policy) => Promise<T>): Promise<T> {
  try {
    return await use(policy)
  } finally {
    await policy.close()
  }
}
