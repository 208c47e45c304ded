// How options are read, and in which words mistakes are told.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { InvalidOptionError } from '../../lib/core/option-error.js'
import {
  callback,
  callbackOr,
  count,
  kind,
  list,
  milliseconds,
  notNegative,
  secret,
  share,
  text,
  webAddress,
} from '../../lib/core/option-kinds.js'
import { findMistakes, type OptionsOf, type ResolvedOptions, readOptions } from '../../lib/core/options.js'

const shape = {
  retries: count.default(4),
  share: share.optional(),
  timeout: milliseconds.optional(),
  url: webAddress.optional(),
  token: secret.min(16).optional(),
  onEnd: callbackOr<() => string>(() => 'the default'),
  onStart: callback<() => void>().optional(),
  items: list<unknown>().optional(),
  costs: z.record(z.string(), notNegative).optional(),
  cache: z.union([z.literal('memory'), z.literal(false), z.strictObject({ folder: text })]).default('memory'),
  pattern: z
    .union([z.string(), kind<RegExp>('a regular expression', (value) => value instanceof RegExp)])
    .optional(),
  nested: z.strictObject({ kind: z.enum(['a', 'b']).default('a') }).prefault({}),
  names: z.array(text).min(1).optional(),
}
interface Options extends OptionsOf<typeof shape> {}
const schema = z.strictObject(shape).refine(({ share: one, retries }) => one === undefined || retries > 1, {
  path: ['share'],
  message: 'left out where retries is 1',
})
const read = (given: Options): ResolvedOptions<typeof shape> => readOptions(schema, given, 'example')

describe('readOptions', () => {
  it('fills in what is not given, undefined included, and nothing else', () => {
    const { onEnd, ...resolved } = read({ url: undefined, onStart: undefined })
    expect(onEnd()).toBe('the default')
    expect(resolved).toStrictEqual({ retries: 4, cache: 'memory', nested: { kind: 'a' } })
  })

  it('keeps functions, lists and instances as they are', () => {
    const given = { onEnd: () => '', items: [{}], pattern: /x/ }
    const resolved = read(given)
    expect(resolved.onEnd).toBe(given.onEnd)
    expect(resolved.items).toBe(given.items)
    expect(resolved.pattern).toBe(given.pattern)
  })

  it.each<[unknown, string]>([
    [{ retries: 0 }, 'example.retries: must be a whole number of at least 1, got 0'],
    [{ retries: '3' }, "example.retries: must be a whole number of at least 1, got '3'"],
    [{ share: 2 }, 'example.share: must be 0 to 1, got 2'],
    [{ share: 1, retries: 1 }, 'example.share: must be left out where retries is 1, got 1'],
    [{ timeout: 2 ** 31 }, 'example.timeout: must be greater than 0 and at most 2147483647, got 2147483648'],
    [{ url: 'host' }, "example.url: must be an address that begins with http:// or https://, got 'host'"],
    [{ url: 4 }, 'example.url: must be an address that begins with http:// or https://, got 4'],
    [{ onEnd: 'x' }, "example.onEnd: must be a function, got 'x'"],
    [{ items: 'x' }, "example.items: must be a list, got 'x'"],
    [{ costs: { search: -1 } }, 'example.costs.search: must be at least 0, got -1'],
    [{ cache: true }, 'example.cache: must be "memory", false or an object, got true'],
    [{ cache: { folder: 3 } }, 'example.cache.folder: must be text, got 3'],
    [
      { cache: { file: 'x' } },
      "example.cache.file: must be left out (there is no such option; known: folder), got 'x'",
    ],
    [{ pattern: 3 }, 'example.pattern: must be text or a regular expression, got 3'],
    [{ nested: { kind: 'c' } }, "example.nested.kind: must be one of a, b, got 'c'"],
    [{ names: [] }, 'example.names: must be a list that is not empty, got []'],
    [{ names: ['a', 3] }, 'example.names[1]: must be text, got 3'],
    [
      { retrys: 3 },
      'example.retrys: must be left out (there is no such option; did you mean retries?), got 3',
    ],
    [
      { nested: { xyz: 3 } },
      'example.nested.xyz: must be left out (there is no such option; known: kind), got 3',
    ],
    [3, 'example: must be an object, got 3'],
  ])('%j', (given, message) => {
    expect(() => read(given as Options)).toThrow(InvalidOptionError)
    expect(() => read(given as Options)).toThrow(message)
    expect(findMistakes(schema, given, 'example').length).toBeGreaterThan(0)
  })

  it('tells option, expectation and value apart for programs', () => {
    const caught = (() => {
      try {
        return read({ costs: { search: -1 } })
      } catch (error) {
        return error
      }
    })()
    expect(caught).toBeInstanceOf(InvalidOptionError)
    expect(caught).toMatchObject({
      code: 'ERR_OPTION',
      option: 'example.costs.search',
      expected: 'at least 0',
      given: -1,
    })
  })

  it('never shows a secret, under a misspelt name neither', () => {
    const value = 'not so long'
    const messages = [{ token: value }, { tokn: value }, { token: [value] }].map(
      (given) => findMistakes(schema, given)[0],
    )
    expect(messages.map((mistake) => mistake?.option)).toEqual(['token', 'tokn', 'token'])
    expect(() => read({ token: value })).toThrow(
      'example.token: must be text of at least 16 characters, got 11 characters',
    )
    expect(JSON.stringify(messages)).not.toContain(value)
  })
})
