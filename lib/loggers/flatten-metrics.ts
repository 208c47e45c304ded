import { isRecord } from '../core/is-record.js'

/** Every finite number of nested metrics by its path ('seconds/rollout'), true and false as 1 and 0. Text and lists are left out. */
export function flattenMetrics(metrics: object): Record<string, number> {
  const flat: Record<string, number> = {}
  const visit = (value: unknown, path: string): void => {
    if (typeof value === 'number' && Number.isFinite(value)) flat[path] = value
    else if (typeof value === 'boolean') flat[path] = Number(value)
    else if (isRecord(value))
      for (const [key, inner] of Object.entries(value)) visit(inner, path === '' ? key : `${path}/${key}`)
  }
  visit(metrics, '')
  delete flat.step
  return flat
}
