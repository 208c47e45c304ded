// The words that describe an option's type in errors.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { describeMistake } from '../../lib/core/option-error.js'
import { count, notNegative, text } from '../../lib/core/option-kinds.js'
import { findMistakes } from '../../lib/core/options.js'

describe('the words fit what was given', () => {
  const largestFloat = 3.4028234663852886e38
  const words = z.strictObject({
    weight: notNegative.max(largestFloat).optional(),
    rate: z.number().gt(0).optional(),
    decay: z.number().min(0).lt(1).optional(),
    wait: z.number().gt(0).min(10).max(100).optional(),
    epochs: count.optional(),
    output: text.optional(),
    rank: z.number().nullable().optional(),
    limit: z.union([count, z.literal('auto')]).optional(),
    adapters: z
      .union([z.boolean(), z.strictObject({ rank: count, alpha: z.number().optional() })])
      .optional(),
    logger: z
      .union([z.enum(['file', 'board']), z.strictObject({ file: text }), z.strictObject({ board: z.url() })])
      .optional(),
    answer: z.union([z.string(), z.custom<() => void>((value) => typeof value === 'function', 'a function')]),
    address: z.url().optional(),
    label: z
      .string()
      .regex(/^[a-z]+$/)
      .optional(),
    wordless: z.custom<object>((value) => typeof value === 'object').optional(),
  })
  const answer = 'exact'

  it.each<[object, string | RegExp]>([
    [{ weight: -1 }, 'weight: must be at least 0, got -1'],
    [{ weight: '1' }, "weight: must be a number of at least 0, got '1'"],
    [{ weight: Number.NaN }, 'weight: must be at least 0, got NaN'],
    [{ weight: Number.POSITIVE_INFINITY }, 'weight: must be finite and at least 0, got Infinity'],
    [{ weight: 1e39 }, `weight: must be 0 to ${largestFloat}, got 1e+39`],
    [{ rate: 0 }, 'rate: must be greater than 0, got 0'],
    [{ rate: null }, 'rate: must be a number greater than 0, got null'],
    [{ decay: 1 }, 'decay: must be at least 0 and less than 1, got 1'],
    [{ decay: Number.POSITIVE_INFINITY }, 'decay: must be at least 0 and less than 1, got Infinity'],
    [{ wait: 1 }, 'wait: must be 10 to 100, got 1'],
    [{ wait: '1' }, "wait: must be a number from 10 to 100, got '1'"],
    [{ epochs: 1.5 }, 'epochs: must be a whole number of at least 1, got 1.5'],
    [{ epochs: Number.POSITIVE_INFINITY }, 'epochs: must be a whole number of at least 1, got Infinity'],
    [{ epochs: 2 ** 53 }, 'epochs: must be a whole number from 1 to 9007199254740991, got 9007199254740992'],
    [{ output: '' }, "output: must be text that is not empty, got ''"],
    [{ output: 3 }, 'output: must be text, got 3'],
    [{ output: 'x'.repeat(100).split('') }, /^output: must be text, got \[ 'x', .*\.\.\.$/],
    [{ rank: 'all' }, "rank: must be a number or null, got 'all'"],
    [{ limit: 0 }, 'limit: must be a whole number of at least 1 or "auto", got 0'],
    [{ adapters: 'yes' }, "adapters: must be true, false or an object, got 'yes'"],
    [{ adapters: { rank: 0 } }, 'adapters.rank: must be a whole number of at least 1, got 0'],
    [
      { adapters: { ranc: 8 } },
      'adapters.ranc: must be left out (there is no such option; did you mean rank?), got 8',
    ],
    [{ logger: 3 }, 'logger: must be file, board or an object, got 3'],
    [{ logger: { board: 'nowhere' } }, `logger.board: must be text of the form "url", got 'nowhere'`],
    [{ answer: 3 }, 'answer: must be text or a function, got 3'],
    [{ answer: undefined }, 'answer: must be text or a function, got undefined'],
    [{ address: 'nowhere' }, `address: must be text of the form "url", got 'nowhere'`],
    [{ label: 'A' }, "label: must be text that matches /^[a-z]+$/, got 'A'"],
    [{ wordless: 3 }, 'wordless: must be something else, got 3'],
  ])('%j', (given, message) => {
    const mistakes = findMistakes(words, { answer, ...given }).map(describeMistake)
    if (typeof message === 'string') expect(mistakes[0]).toBe(message)
    else expect(mistakes[0]).toMatch(message)
  })
})
