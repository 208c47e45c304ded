import { isRecord } from '../core/is-record.js'

/** Every value of a nested config as text, by its path ('rollout.temperature'); lists as JSON. */
export function flattenConfig(config: unknown): Record<string, string> {
  const flat: Record<string, string> = {}
  const visit = (value: unknown, path: string): void => {
    if (value === undefined || typeof value === 'function') return
    if (isRecord(value)) {
      for (const [key, inner] of Object.entries(value)) visit(inner, path === '' ? key : `${path}.${key}`)
    } else flat[path] = typeof value === 'string' ? value : JSON.stringify(value)
  }
  visit(config, '')
  return flat
}
