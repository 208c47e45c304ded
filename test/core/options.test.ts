// How options are read, and the messages of errors about them.
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { describeMistake, InvalidOptionError, type OptionMistake } from '../../lib/core/option-error.js'
import {
  callback,
  callbackOr,
  count,
  instance,
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
    const caught = caughtFrom(() => read({ costs: { search: -1 } }))
    expect(caught).toBeInstanceOf(InvalidOptionError)
    expect(caught).toMatchObject({
      code: 'ERR_OPTION',
      option: 'example.costs.search',
      expected: 'at least 0',
      given: -1,
    })
  })
})

describe('what is read', () => {
  it('is new, and leaves what was given alone', () => {
    const given = Object.freeze({ nested: Object.freeze({}) })
    expect(read(given)).toMatchObject({ nested: { kind: 'a' } })
    expect(given).toStrictEqual({ nested: {} })
  })

  it('lacks what is undefined inside of nested options too, where a required option is missed', () => {
    const nested = z.strictObject({ inner: z.strictObject({ size: count, share: share.optional() }) })
    expect(readOptions(nested, { inner: { size: 1, share: undefined } })).toStrictEqual({
      inner: { size: 1 },
    })
    expect(() => readOptions(nested, { inner: { size: undefined } })).toThrow(
      'inner.size: must be a whole number of at least 1, got undefined',
    )
  })

  it('keeps instances of classes, defaults that are some as well', () => {
    class Policy {
      name: string | undefined = undefined
    }
    const fallback = new Map([['a', 1]])
    const policies = z.strictObject({
      policy: instance<Policy>('a policy'),
      scores: instance<Map<string, number>>('a map')
        .optional()
        .transform((given) => given ?? fallback),
    })
    const policy = new Policy()
    const resolved = readOptions(policies, { policy })
    expect(resolved.policy).toBe(policy)
    expect(policy).toHaveProperty('name')
    expect(resolved.scores).toBe(fallback)
  })
})

describe('findMistakes', () => {
  it('finds all of them, a misspelt name before the absence that it causes, and none in what is right', () => {
    const tasks = z.strictObject({
      tasks: z.array(z.strictObject({ id: text, weight: share.optional() })),
      size: count,
    })
    expect(findMistakes(tasks, { tasks: [{ id: 'a' }], size: 1 })).toEqual([])
    expect(findMistakes(tasks, { tasks: [{ id: 'a' }, { ids: 'b', weight: 2 }], sise: 1 })).toEqual([
      {
        option: 'tasks[1].ids',
        expected: 'left out (there is no such option; did you mean id?)',
        given: 'b',
      },
      { option: 'sise', expected: 'left out (there is no such option; did you mean size?)', given: 1 },
      { option: 'tasks[1].id', expected: 'text', given: undefined },
      { option: 'tasks[1].weight', expected: '0 to 1', given: 2 },
      { option: 'size', expected: 'a whole number of at least 1', given: undefined },
    ])
  })

  it('names the whole by the name that it was given, or as options', () => {
    expect(findMistakes(schema, null).map(describeMistake)).toEqual(['options: must be an object, got null'])
    expect(findMistakes(z.array(count), [1, 0], 'sizes').map(describeMistake)).toEqual([
      'sizes[1]: must be a whole number of at least 1, got 0',
    ])
  })
})

describe('a check of two options', () => {
  it('names one of them and shows its value', () => {
    expect(findMistakes(schema, { retries: 1, share: 0.5 }, 'example')).toEqual([
      { option: 'example.share', expected: 'left out where retries is 1', given: 0.5 },
    ])
  })

  it('shows the whole of a list that it names', () => {
    const both = z
      .strictObject({ names: z.array(text), size: count })
      .refine(({ names, size }) => names.length <= size, {
        path: ['names'],
        message: 'at most size names',
      })
    expect(() => readOptions(both, { names: ['a', 'b'], size: 1 })).toThrow(
      "names: must be at most size names, got [ 'a', 'b' ]",
    )
  })
})

describe('a secret', () => {
  const hidden = 'swordfish-1234'
  const judge = z.strictObject({
    key: secret.min(16).optional(),
    account: z.union([secret, z.strictObject({ token: secret })]).optional(),
    keys: z.array(z.string()).meta({ secret: true }).optional(),
    old: secret.nullable().optional(),
    votes: count.optional(),
  })
  const options = z.strictObject({ judge: judge.optional(), size: count.optional() })

  it.each<[object, string]>([
    [{ key: hidden }, 'judge.key: must be text of at least 16 characters, got 14 characters'],
    [{ key: [hidden] }, 'judge.key: must be text of at least 16 characters, got a list'],
    [{ key: 1234 }, 'judge.key: must be text of at least 16 characters, got a number'],
    [{ key: null }, 'judge.key: must be text of at least 16 characters, got null'],
    [
      { kye: hidden },
      'judge.kye: must be left out (there is no such option; did you mean key?), got 14 characters',
    ],
    [
      { password: hidden },
      'judge.password: must be left out (there is no such option; known: key, account, keys, old, votes), got 14 characters',
    ],
    [{ account: [hidden] }, 'judge.account: must be text or an object, got a list'],
    [
      { account: { tokn: hidden } },
      'judge.account.tokn: must be left out (there is no such option; did you mean token?), got 14 characters',
    ],
    [{ keys: [hidden, { at: hidden }] }, 'judge.keys[1]: must be text, got an object'],
    [{ keys: hidden }, 'judge.keys: must be a list, got 14 characters'],
    [{ old: [hidden] }, 'judge.old: must be text or null, got a list'],
    [{ votes: 0 }, 'judge.votes: must be a whole number of at least 1, got 0'],
  ])('is neither in the message nor in `given`: %j', (given, message) => {
    const [mistake] = findMistakes(options, { judge: given }) as [OptionMistake]
    expect(describeMistake(mistake)).toBe(message)
    expect(inspect(mistake, { depth: 9 })).not.toContain(hidden)
    const error = caughtFrom(() => readOptions(options, { judge: given }))
    expect(error).toMatchObject({ message, option: mistake.option, expected: mistake.expected })
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(hidden)
  })

  it('is hidden inside of a value that is wrong as a whole, and where it stands in place of one', () => {
    expect(findMistakes(options, { judge: [{ key: hidden }] }).map(describeMistake)).toEqual([
      'judge: must be an object, got a list',
    ])
    expect(findMistakes(options, { judge: hidden }).map(describeMistake)).toEqual([
      'judge: must be an object, got 14 characters',
    ])
    expect(findMistakes(options, { jugde: { key: hidden } }).map(describeMistake)).toEqual([
      'jugde: must be left out (there is no such option; did you mean judge?), got an object',
    ])
    expect(findMistakes(options, { judge: 3 }).map(describeMistake)).toEqual([
      'judge: must be an object, got 3',
    ])
  })
})

function caughtFrom(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  throw new Error('nothing was refused')
}
