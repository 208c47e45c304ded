// A rollout as a line of JSONL: typed arrays as lists, secrets redacted.
import { containsSecret, redactValue } from '../core/redact.js'

/**
 * If a text of the rollout holds a secret, so do its tokens: they are left out, and `redacted` says so. Tools' results are
 * redacted before the policy reads them, so this happens only if a task holds a secret, or the policy made one up.
 */
export function rolloutLine(rollout: object): string {
  if (!containsSecret(rollout)) return toLine(rollout)
  const { tokens: _, moreSequences: __, ...rest } = redactValue(rollout) as Record<string, unknown>
  return toLine({ ...rest, redacted: true })
}

function toLine(value: object): string {
  return `${JSON.stringify(value, typedArraysAsLists)}\n`
}

/** Nine digits hold a float32 exactly. */
function typedArraysAsLists(_key: string, value: unknown): unknown {
  if (value instanceof Float32Array) return Array.from(value, (number) => Number(number.toPrecision(9)))
  return ArrayBuffer.isView(value) ? Array.from(value as Int32Array) : value
}
