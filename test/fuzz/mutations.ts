// What is put in the place of something right.
import fc from 'fast-check'

const detached = (): Float32Array => {
  const array = new Float32Array(8)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}
const circular = (): object => {
  const value: { self?: object; list: unknown[] } = { list: [] }
  value.self = value
  value.list.push(value)
  return value
}
const throwing = (): object =>
  Object.defineProperty({}, 'length', {
    enumerable: true,
    get: () => {
      throw new Error('a getter of the fuzzer')
    },
  })

/** Values that nobody should give, made anew each time, because calls may change them. */
export const oddities: Record<string, () => unknown> = {
  undefined: () => undefined,
  null: () => null,
  NaN: () => Number.NaN,
  Infinity: () => Number.POSITIVE_INFINITY,
  '-Infinity': () => Number.NEGATIVE_INFINITY,
  '-1': () => -1,
  '0': () => 0,
  '-0': () => -0,
  '0.5': () => 0.5,
  '2^31': () => 2 ** 31,
  '2^53': () => 2 ** 53,
  '1e308': () => 1e308,
  '1n': () => 1n,
  true: () => true,
  'empty text': () => '',
  'a NUL': () => 'a\u0000b',
  'half a surrogate pair': () => '\ud800',
  'long text': () => 'x'.repeat(100_000),
  'text of a number': () => '7',
  __proto__: () => '__proto__',
  'a symbol': () => Symbol('fuzz'),
  'a function': () => () => 7,
  'an empty object': () => ({}),
  'a null object': () => Object.create(null),
  'an empty list': () => [],
  'a list with a hole': () => new Array(3),
  'a list of null': () => [null],
  'a deep list': () => JSON.parse(`${'['.repeat(3000)}${']'.repeat(3000)}`),
  'a circle': circular,
  'a throwing getter': throwing,
  'a detached array': detached,
  'an empty Float32Array': () => new Float32Array(0),
  'a Float32Array of NaN': () => new Float32Array(4).fill(Number.NaN),
  'a Float64Array': () => new Float64Array([1, 2, 3, 4]),
  'a BigInt64Array': () => new BigInt64Array(4),
  'an Int32Array of extremes': () => Int32Array.of(-(2 ** 31), 2 ** 31 - 1, -1, 0),
  'a shared array': () => new Float32Array(new SharedArrayBuffer(16)),
  'a DataView': () => new DataView(new ArrayBuffer(8)),
  'a Proxy': () => new Proxy({}, {}),
  'a Date': () => new Date(Number.NaN),
  'a Map': () => new Map([['a', 1]]),
  'a rejected promise': () => {
    const promise = Promise.reject(new Error('a promise of the fuzzer'))
    promise.catch(() => {})
    return promise
  },
}

/** The name of an oddity: it says in a report what was given, where the value itself cannot be shown. */
export const oddity = fc.constantFrom(...Object.keys(oddities))

/** Errors of the values themselves: whoever looks at them gets these, and may pass them on. */
export const ownErrors = /a getter of the fuzzer|a promise of the fuzzer/

export interface Mutation {
  /** Chooses a place within the specimen. */
  at: number
  oddity: string
}

export const mutation: fc.Arbitrary<Mutation> = fc.record({ at: fc.nat(9999), oddity })

type Container = Record<string | number, unknown>

/**
 * Puts oddities into a specimen, in places of any depth; a list may also lose or double an element. Only plain objects and lists are
 * entered, and typed arrays as a whole.
 */
export function mutate(specimen: unknown[], mutations: readonly Mutation[]): unknown[] {
  const copy = copyPlain(specimen) as unknown[]
  // Found before anything is changed: oddities are not entered, some throw.
  const places = placesOf(copy)
  for (const { at, oddity: name } of mutations) {
    if (places.length === 0) return copy
    const [container, key] = places[at % places.length] as [Container, string]
    const [old, other] = [container[key], (oddities[name] as () => unknown)()]
    container[key] = isNumberArray(old) && old.length > 0 && at % 3 === 0 ? spoilt(old, at) : other
  }
  return copy
}

function isNumberArray(value: unknown): value is Float32Array {
  return value instanceof Float32Array || value instanceof Int32Array || value instanceof Uint8Array
}

/** A typed array of another length, or with an odd element. */
function spoilt(array: Float32Array, at: number): Float32Array {
  if (at % 2 === 0) return array.slice(0, Math.max(0, array.length - 1))
  const changed = array.slice()
  changed[at % Math.max(1, changed.length)] = [Number.NaN, 1e30, -7, 2 ** 31 - 1][at % 4] as number
  return changed
}

function isPlain(value: unknown): value is Container {
  if (Array.isArray(value)) return true
  if (typeof value !== 'object' || value === null) return false
  return Object.getPrototypeOf(value) === Object.prototype
}

function copyPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyPlain)
  if (isNumberArray(value)) return value.slice()
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copyPlain(inner)]))
}

function placesOf(value: unknown, depth = 0): [Container, string][] {
  if (!isPlain(value) || depth > 6) return []
  return Object.keys(value).flatMap((key) => {
    const inner = (value as Container)[key]
    return [[value as Container, key] as [Container, string], ...placesOf(inner, depth + 1)]
  })
}

/** Typed arrays within a value; what throws when it is looked into is not entered. */
export function arraysIn(value: unknown, depth = 0): ArrayBufferView[] {
  if (ArrayBuffer.isView(value)) return [value]
  if (Object.values(Object.getOwnPropertyDescriptors(value ?? {})).some(({ get }) => get)) return []
  if (!isPlain(value) || depth > 6) return []
  return Object.values(value).flatMap((inner) => arraysIn(inner, depth + 1))
}
