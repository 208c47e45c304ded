// The options of the policy loss, with their defaults (docs/algorithm.md) and checks.
import { inspect } from 'node:util'
import type { Aggregation, PolicyLossOptions } from '../types.js'

const aggregations: readonly Aggregation[] = ['token-mean', 'seq-mean-token-mean', 'seq-mean-token-sum']

// The native side computes with float32 options. A dualClip that large never acts.
const largestFloat = 3.4028234663852886e38

export function resolveLossOptions(given: PolicyLossOptions): Required<PolicyLossOptions> {
  const option = (
    name: Exclude<keyof PolicyLossOptions, 'aggregation'>,
    fallback: number,
    low: number,
    high = largestFloat,
  ) => checkNumber(name, given[name] ?? fallback, low, high)
  return {
    temperature: option('temperature', 1, 1e-6),
    aggregation: checkChoice('aggregation', given.aggregation ?? 'token-mean', aggregations),
    clipLow: option('clipLow', 0.2, 0, 1),
    clipHigh: option('clipHigh', 0.2, 0),
    dualClip: Math.min(
      checkNumber('dualClip', given.dualClip ?? 3, 1, Number.POSITIVE_INFINITY),
      largestFloat,
    ),
    accuracyWeight: option('accuracyWeight', 1, 0),
    efficiencyWeight: option('efficiencyWeight', 0.15, 0),
    klCoefficient: option('klCoefficient', 0, 0),
    entropyCoefficient: option('entropyCoefficient', 0, -largestFloat),
  }
}

export function checkChoice<Choice extends string>(
  name: string,
  value: unknown,
  allowed: readonly Choice[],
): Choice {
  if (typeof value !== 'string') throw new TypeError(`${name}: must be a string, got ${inspect(value)}`)
  const choice = allowed.find((each) => each === value)
  if (choice === undefined)
    throw new RangeError(`${name}: must be one of ${allowed.join(', ')}, got ${inspect(value)}`)
  return choice
}

export function checkNumber(name: string, value: unknown, low: number, high: number): number {
  if (typeof value !== 'number')
    throw new TypeError(`${name}: must be a number, got ${inspect(value, { depth: 0 })}`)
  if (value >= low && value <= high) return value
  const allowed = high >= largestFloat ? `at least ${low}` : `between ${low} and ${high}`
  throw new RangeError(`${name}: must be ${allowed}, got ${value}`)
}

export function checkCount(name: string, value: unknown): number {
  if (typeof value !== 'number') {
    throw new TypeError(`${name}: must be a positive integer, got ${inspect(value, { depth: 0 })}`)
  }
  if (Number.isInteger(value) && value >= 1 && value <= 2 ** 31 - 1) return value
  throw new RangeError(`${name}: must be an integer from 1 to ${2 ** 31 - 1}, got ${value}`)
}
