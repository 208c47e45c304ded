// Describes a config in plain values: one from TypeScript may hold functions, tools and whole data sets.
const longestList = 50

export function describeConfig(value: unknown): unknown {
  if (typeof value === 'function') return `[function${value.name === '' ? '' : ` ${value.name}`}]`
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value)
  if (value instanceof RegExp || value instanceof Date || value instanceof URL) return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    return value.length > longestList ? `[${value.length} items]` : value.map(describeConfig)
  }
  if (ArrayBuffer.isView(value)) return `[${value.constructor.name}]`
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([key, inner]) => [key, describeConfig(inner)]),
  )
}
