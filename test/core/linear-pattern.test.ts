import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foreignPattern, linearPattern, safestPattern } from '../../lib/core/linear-pattern.js'

describe('a pattern in linear time', () => {
  const atom = fc.constantFrom(
    'a',
    'b',
    '-',
    '/',
    '.',
    '\\d',
    '\\D',
    '\\w',
    '\\W',
    '\\s',
    '\\S',
    '\\b',
    '\\B',
    '^',
    '$',
    '\\.',
    '\\/',
    '\\x41',
    '\\u00e9',
    '\\n',
    '\\v',
    '\\0',
    '\\cJ',
    '[a-c]',
    '[^a\\s]',
    '[\\S-]',
    '[\\d.-]',
    '[\\b]',
    '[]',
    '[^]',
    '[\\]\\\\]',
    '[[]',
    '[a^]',
    '[\\u0061-\\x63]',
    '[.$]',
    'é',
    '\\$',
  )
  const pattern: fc.Arbitrary<string> = fc.letrec((tie) => ({
    pattern: fc.oneof(
      { maxDepth: 3 },
      atom,
      fc.tuple(tie('pattern'), tie('pattern')).map(([left, right]) => `${left}${right}`),
      fc.tuple(tie('pattern'), tie('pattern')).map(([left, right]) => `(${left}|${right})`),
      fc
        .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{0,2}', '{2}', '{1,}', '*?', '+?'))
        .map(([inner, many]) => `(?:${inner})${many}`),
      tie('pattern').map((inner) => `(?<name>${inner})`),
    ),
  })).pattern as fc.Arbitrary<string>
  const text = fc.string({
    unit: fc.constantFrom(
      'a',
      'b',
      'c',
      'A',
      'é',
      '1',
      ' ',
      '\u00a0',
      '\n',
      '\r',
      '\u2028',
      '\u000b',
      '\b',
      '\0',
      '-',
      '.',
      '/',
      '[',
      ']',
      '\\',
      '^',
      '$',
      '_',
      '😀',
    ),
    maxLength: 8,
  })

  it('matches what JavaScript matches', () => {
    fc.assert(
      fc.property(
        pattern,
        fc.constantFrom('u', 'iu', 'su'),
        fc.array(text, { minLength: 4, maxLength: 8 }),
        (source, flags, texts) => {
          let own: RegExp
          try {
            own = new RegExp(source, flags)
          } catch {
            return
          }
          const linear = linearPattern(source, flags)
          expect(linear, source).toBeDefined()
          for (const each of texts)
            expect(linear?.test(each), `/${source}/${flags} on ${JSON.stringify(each)}`).toBe(own.test(each))
        },
      ),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['^https\\:\\/\\/', '', 'https://x', true],
    ['^a{2}{', '', 'aa{', true],
    ['x{,2}', '', 'x{,2}', true],
    ['[\\w-z]', '', '-', true],
    ['\\u{61}', '', 'a', false],
    ['\\u{61}', 'u', 'a', true],
    ['^\\ud83d\\ude00$', 'u', '😀', true],
    ['^\\p{Lu}\\p{Script=Greek}$', 'u', 'Aα', true],
    ['^.$', '', '\u2028', false],
    ['^.$', 's', '\n', true],
    ['a$', '', 'a\n', false],
  ])('%s with the flags "%s" on %j', (source, flags, given, matches) => {
    expect(new RegExp(source, flags).test(given)).toBe(matches)
    expect(linearPattern(source, flags)?.test(given)).toBe(matches)
  })

  it.each(['(?=a)', '(?!a)', '(?<=a)b', '(?<!a)b', '(a)\\1', '(?<n>a)\\k<n>', 'a{1001}', '(a{600}){600}'])(
    'is none where RE2 has no such thing: %s',
    (source) => {
      expect(linearPattern(source)).toBeUndefined()
      expect(safestPattern(new RegExp(source))).toBeInstanceOf(RegExp)
    },
  )

  it('throws where it is no pattern', () => {
    expect(() => linearPattern('(')).toThrow(SyntaxError)
  })

  it.each(['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '(.*a){20}$', '^([a-z]+)*@$', '(x+x+)+y'])(
    'ends soon: %s',
    (source) => {
      const linear = linearPattern(source)
      const start = performance.now()
      expect(linear?.test(`${'a'.repeat(20_000)}!${'x'.repeat(20_000)}`)).toBe(false)
      expect(performance.now() - start).toBeLessThan(20_000)
    },
  )

  it.each([
    ['(?i)^[a-z]+$', 'ABC', true],
    ['^\\d+\\Z', '12', true],
    ['^(?P<year>\\d{4})$', '2024', true],
    ['\\Aa\\z', 'a', true],
    ['[[:alpha:]]+[[:digit:]]', 'ab1', true],
  ])('of another dialect: %s', (source, given, matches) => {
    expect(foreignPattern(source)?.test(given)).toBe(matches)
  })

  it.each(['a++', '(?>a)', '\\h', '(?R)'])('of another dialect that RE2 cannot express: %s', (source) => {
    expect(foreignPattern(source)).toBeUndefined()
  })
})
