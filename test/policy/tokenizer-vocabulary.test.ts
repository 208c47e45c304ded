// What is refused of a tokenizer.json by name, before anything is made from it.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'

interface Parts {
  added_tokens: { id: unknown; content: unknown; special?: boolean }[]
  model: {
    type: string
    vocab: Record<string, unknown>
    merges: unknown[]
    continuing_subword_prefix?: string
  }
}

const path = new URL('../../lib/families/atlas/tokenizer.json', import.meta.url)
const whole = readFileSync(path, 'utf8')

/** Loads the tokenizer after `change`; returns the code and message of the refusal. */
function refusal(change: (parts: Parts) => void): string {
  const parts = JSON.parse(whole) as Parts
  change(parts)
  try {
    loadTokenizer({ tokenizer: parts as unknown as Record<string, unknown> })
  } catch (error) {
    return `${(error as { code?: string }).code} ${(error as Error).message}`
  }
  return 'none'
}

describe('ids of a vocabulary', () => {
  it.each([
    [300_000_000, '300000000'],
    [2 ** 21, '2097152'],
    [-1, '-1'],
    [1.5, '1.5'],
    [Number.NaN, 'null'],
    ['7', '"7"'],
    [null, 'null'],
    [true, 'true'],
    [[3], '[3]'],
  ])('are integers of a size that can be: %j is refused, in entries and added tokens', (id, shown) => {
    const before = process.memoryUsage().rss
    const allowed = `must be an integer from 0 to 2097151, got ${shown}`
    expect(
      refusal(({ model }) => {
        model.vocab['zz zz'] = id
      }),
    ).toBe(`ERR_TOKENIZER tokenizer.json: model.vocab["zz zz"] ${allowed}`)
    expect(refusal(({ added_tokens }) => void added_tokens.push({ id, content: '<new>' }))).toMatch(
      new RegExp(
        `^ERR_TOKENIZER tokenizer\\.json: added_tokens\\[\\d+\\]\\.id ${allowed.replace(/[[\]]/g, '\\$&')}$`,
      ),
    )
    expect(process.memoryUsage().rss - before).toBeLessThan(500e6)
  })

  it('belong to one entry each', () => {
    expect(
      refusal(({ model: { vocab } }) => {
        const [[entry, id]] = Object.entries(vocab) as [[string, unknown]]
        expect(entry).not.toBe('zz zz')
        vocab['zz zz'] = id
      }),
    ).toMatch(/^ERR_TOKENIZER tokenizer\.json: model\.vocab\["zz zz"\]: the id \d+ is that of ".+" already$/)
    expect(
      refusal(({ added_tokens, model }) => {
        added_tokens.push({ id: Object.values(model.vocab)[5], content: '<new>' })
      }),
    ).toMatch(/added_tokens\[\d+\]\.id: the id \d+ is that of ".+" already$/)
    expect(
      refusal(({ added_tokens, model }) => {
        const [entry, id] = Object.entries(model.vocab)[40] as [string, number]
        added_tokens.push({ id: id + 1, content: entry })
      }),
    ).toMatch(/added_tokens\[\d+\]\.id: ".+" is \d+ here, but \d+ in model\.vocab$/)
    expect(
      refusal(({ added_tokens }) => added_tokens.push({ ...(added_tokens[0] as Parts['added_tokens'][0]) })),
    ).toMatch(/is an added token twice$/)
  })

  it('may leave gaps, and an added token may repeat an entry under its id', () => {
    const changed = (change: (parts: Parts) => void) => {
      const parts = JSON.parse(whole) as Parts
      change(parts)
      return loadTokenizer({ tokenizer: parts as unknown as Record<string, unknown> })
    }
    const gap = changed(({ added_tokens }) => added_tokens.push({ id: 5000, content: '<far>' }))
    expect(gap.vocabSize).toBe(5001)
    expect(gap.encode('<far>')).toEqual([5000])
    expect(gap.decode([4999, 5000])).toBe('<far>')
    const [entry, id] = Object.entries((JSON.parse(whole) as Parts).model.vocab)[40] as [string, number]
    expect(changed(({ added_tokens }) => added_tokens.push({ id, content: entry })).tokenId(entry)).toBe(id)
  })
})

describe('parts of another form', () => {
  it.each<[string, (parts: Parts) => void, string]>([
    [
      'a vocabulary that is a list',
      ({ model }) => {
        model.vocab = [['a', 0]] as never
      },
      'model.vocab must be an object',
    ],
    [
      'added tokens that are no list',
      (parts) => {
        parts.added_tokens = {} as never
      },
      'added_tokens must be a list',
    ],
    [
      'an added token without its text',
      ({ added_tokens }) => {
        added_tokens[0] = { id: 0 } as never
      },
      'added_tokens[0] must be an object with an id and its text in "content"',
    ],
    [
      'an added token that is null',
      ({ added_tokens }) => {
        added_tokens[0] = null as never
      },
      'added_tokens[0] must be',
    ],
    [
      'merges that are no list',
      ({ model }) => {
        model.merges = 'a b' as never
      },
      'model.merges must be a list',
    ],
    [
      'a merge of three',
      ({ model }) => {
        model.merges[3] = 'a b c'
      },
      'model.merges[3] must be two entries, got "a b c"',
    ],
    [
      'a merge of one',
      ({ model }) => {
        model.merges[3] = ['a']
      },
      'model.merges[3] must be two entries, got ["a"]',
    ],
    [
      'a merge of numbers',
      ({ model }) => {
        model.merges[3] = [1, 2]
      },
      'model.merges[3] must be two entries, got [1,2]',
    ],
    [
      'a merge of an unknown entry',
      ({ model }) => {
        model.merges[0] = ['a', '☃']
      },
      'model.merges[0]: "☃" is not in the vocabulary',
    ],
    [
      'a merge into an unknown entry',
      ({ model }) => {
        model.merges[0] = 'Q Q'
      },
      'model.merges[0]: "QQ" is not in the vocabulary',
    ],
    [
      'a merge of what every object has',
      ({ model }) => {
        model.merges[0] = ['toString', 'a']
      },
      '"toString" is not in',
    ],
  ])('%s', (_, change, message) => {
    expect(refusal(change)).toContain(
      `ERR_TOKENIZER tokenizer.json: ${message.startsWith('"') ? 'model.merges[0]: ' : ''}${message}`,
    )
  })
})
