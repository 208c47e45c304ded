import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ExactNumber } from '../../lib/core/exact-number.js'
import { redact, redactValue } from '../../lib/core/redact.js'
import { createSecretFinder } from '../../lib/core/secret-finder.js'
import { secretVariables } from '../../lib/core/secret-names.js'
import { addSecret, addSecretVariables } from '../../lib/core/secrets.js'

afterEach(() => vi.unstubAllEnvs())

describe('redact', () => {
  it('knows environment variables by their names, whenever they are set', () => {
    expect(redact('say swordfish-1234')).toBe('say swordfish-1234')
    vi.stubEnv('SEARCH_API_KEY', 'swordfish-1234')
    expect(redact('say swordfish-1234')).toBe('say [redacted]')
    vi.unstubAllEnvs()
    expect(redact('say swordfish-1234')).toBe('say swordfish-1234')
  })

  it('finds a secret URL-encoded, in base64, and inside another', () => {
    vi.stubEnv('A_TOKEN', 'pass/word+one')
    vi.stubEnv('B_TOKEN', 'pass/word+one-and-more')
    expect(redact('?key=pass%2Fword%2Bone&x')).toBe('?key=[redacted]&x')
    expect(redact(`Basic ${Buffer.from('pass/word+one').toString('base64')}`)).toBe('Basic [redacted]')
    expect(redact('pass/word+one-and-more')).toBe('[redacted]')
  })

  it('takes what it is told', () => {
    addSecret('my $pecial (secret)')
    expect(redact('is my $pecial (secret)!')).toBe('is [redacted]!')
    vi.stubEnv('PLAIN', 'a plain variable')
    addSecretVariables(['PLAIN'])
    expect(redact('a plain variable')).toBe('[redacted]')
    expect(() => addSecretVariables(['NO_SUCH_VARIABLE'])).toThrow(
      "secrets: must be names of variables that the environment has, got 'NO_SUCH_VARIABLE'",
    )
    expect(() => addSecret('short')).toThrow(
      'secret: must be text of at least 8 characters, got 5 characters',
    )
  })

  it.each([
    [`sk-proj-${'a1'.repeat(15)}`],
    [`ghp_${'a1'.repeat(18)}`],
    [`hf_${'a1'.repeat(17)}`],
    ['AKIAIOSFODNN7EXAMPLE'],
    [`AIza${'a'.repeat(35)}`],
    [`eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.${'b'.repeat(20)}`],
  ])('knows the format of %s', (token) => {
    expect(redact(`before ${token} after`)).toBe('before [redacted] after')
  })

  it('hides bearer tokens and passwords in addresses, and leaves the rest', () => {
    expect(redact('Authorization: Bearer abcdefghijklmnop123')).toBe('Authorization: Bearer [redacted]')
    expect(redact('postgres://me:hunter22@host/db')).toBe('postgres://me:[redacted]@host/db')
    const innocent = 'The skeleton key: https://example.com:8080/a?b=c, sk-1, bearer of news, tokens 12345678'
    expect(redact(innocent)).toBe(innocent)
  })
})

it('redacts values in depth, keys included, and leaves typed arrays', () => {
  vi.stubEnv('SEARCH_API_KEY', 'swordfish-1234')
  const tokens = Int32Array.of(1, 2)
  const value = { a: ['swordfish-1234', 1, null], 'swordfish-1234': { b: 'x' }, tokens }
  const clean = redactValue(value)
  expect(clean).toEqual({ a: ['[redacted]', 1, null], '[redacted]': { b: 'x' }, tokens })
  expect(clean.tokens).toBe(tokens)
})

it('tells names that hold secrets from others', () => {
  const long = 'x'.repeat(20)
  const secrets = [
    'OPENAI_API_KEY',
    'DB_PASSWORD',
    'GH_TOKEN',
    'AWS_SECRET_ACCESS_KEY',
    'PGPASS',
    'PGPASSWORD',
    'MYSQL_PWD',
    'GITHUB_PAT',
    'COOKIE',
    'SESSION_COOKIES',
    'JWT',
    'SENTRY_DSN',
    'githubToken',
    'openaiApiKey',
    'dbPassword',
    'GITHUBTOKEN',
    'SMTP_PASS',
    'Proxy-Authorization',
  ]
  const others = [
    'TOKENIZERS_PARALLELISM',
    'MONKEY',
    'PATH',
    'PWD',
    'OLDPWD',
    'OLD_PWD',
    'COMPASS_HOME',
    'BYPASS',
    'PATTERN',
    'PGPASSFILE',
    'KEYBOARD_LAYOUT',
    'AUTHOR',
    'MAX_TOKENS',
    'XDG_SESSION_ID',
  ]
  const environment = Object.fromEntries([...secrets, ...others].map((name) => [name, long]))
  expect(secretVariables(environment)).toEqual(secrets)
  expect(secretVariables({ A_KEY: 'short' })).toEqual([])
})

it('knows the passwords inside addresses and connection strings', () => {
  vi.stubEnv('DATABASE_URL', 'postgres://me:p%40ss-word%22one@host:5432/db?ssl=true')
  vi.stubEnv('CONNECTION_STRING', 'Server=a;User=sa;Pwd=hunter22-and-more;')
  vi.stubEnv('PG_CONN', 'host=a password="two words-22" user=b')
  const text =
    'p@ss-word"one, p%40ss-word%22one, hunter22-and-more, two words-22, postgres, host:5432/db, Server=a'
  expect(redact(text)).toBe(
    '[redacted], [redacted], [redacted], [redacted], postgres, host:5432/db, Server=a',
  )
})

it('redacts what JSON.stringify would write, and keeps numbers as they were written', () => {
  addSecret('a "quoted\\ pass/word')
  const value = {
    date: new Date(0),
    own: { toJSON: () => ['a "quoted\\ pass/word'] },
    n: new ExactNumber('10.0'),
  }
  expect(redactValue(value)).toEqual({ date: '1970-01-01T00:00:00.000Z', own: ['[redacted]'], n: value.n })
})

const secretText = fc
  .oneof(
    fc.string({ minLength: 8, maxLength: 40 }),
    fc.string({ unit: 'binary', minLength: 8, maxLength: 20 }),
    fc.string({ unit: fc.constantFrom(...'aZ0"\\\'/&<>+ %=é'), minLength: 8, maxLength: 30 }),
  )
  .filter((secret) => secret.trim().length >= 8)

describe('every form of every secret', () => {
  const forms: [string, (secret: string) => string][] = [
    ['as it is', (secret) => secret],
    ['JSON', (secret) => JSON.stringify({ a: secret })],
    ['JSON in JSON', (secret) => JSON.stringify(JSON.stringify({ a: secret }))],
    ['JSON of PHP', (secret) => JSON.stringify(secret).replaceAll('/', '\\/')],
    [
      'JSON of Python',
      (secret) =>
        JSON.stringify(secret).replace(
          /[\u0080-\uffff]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        ),
    ],
    ['inspect', (secret) => inspect({ a: secret })],
    ['HTML', (secret) => secret.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)],
    [
      'HTML with names',
      (secret) =>
        secret
          .replaceAll('&', '&amp;')
          .replaceAll('<', '&lt;')
          .replaceAll('>', '&gt;')
          .replaceAll('"', '&quot;')
          .replaceAll("'", '&#x27;'),
    ],
    ['percent', encodeURIComponent],
    [
      'percent, lower case',
      (secret) => encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    ],
    ['percent, all of it', (secret) => Buffer.from(secret).toString('hex').replace(/../g, '%$&')],
    ['a form', (secret) => new URLSearchParams({ a: secret }).toString()],
    ['JSON in an address', (secret) => encodeURIComponent(JSON.stringify({ a: secret }))],
    ['hex', (secret) => Buffer.from(secret).toString('hex')],
    ['hex, upper case', (secret) => Buffer.from(`ab${secret}cd`).toString('hex').toUpperCase()],
    ...['', 'u', 'us', 'user:', 'user-:', 'longer user:'].flatMap(
      (before): [string, (secret: string) => string][] =>
        ['', '!', '!!', '!!!'].flatMap((after): [string, (secret: string) => string][] => [
          [
            `base64 after "${before}" before "${after}"`,
            (secret) => Buffer.from(before + secret + after).toString('base64'),
          ],
          [
            `base64url after "${before}" before "${after}"`,
            (secret) => Buffer.from(before + secret + after).toString('base64url'),
          ],
        ]),
    ),
    [
      'base64 in lines',
      (secret) =>
        `-----\n${Buffer.from(`${'x'.repeat(40)}${secret}`)
          .toString('base64')
          .replace(/.{16}/g, '$&\r\n')}`,
    ],
    [
      'base64 in lines in JSON',
      (secret) => JSON.stringify(Buffer.from(`xx${secret}`).toString('base64').replace(/.{8}/g, '$&\n  ')),
    ],
    ['base64 of JSON', (secret) => Buffer.from(JSON.stringify({ a: secret })).toString('base64')],
    ['base64 in an address', (secret) => encodeURIComponent(Buffer.from(`me:${secret}`).toString('base64'))],
  ]

  it.each(forms)('is found: %s', (_name, write) => {
    fc.assert(
      fc.property(secretText, (secret) => {
        expect(createSecretFinder([secret])(`before ${write(secret)} after`), secret).not.toEqual([])
      }),
      { seed: 13, numRuns: 60 },
    )
  })

  it('leaves nothing of it in the text', () => {
    const secret = 'Tr0ub4dor&3 "x"/ü'
    const find = createSecretFinder([secret])
    for (const [name, write] of forms) {
      const text = `before ${write(secret)} after`
      let clean = ''
      let end = 0
      for (const [start, next] of find(text)) {
        clean += text.slice(end, start)
        end = next
      }
      clean += text.slice(end)
      expect(clean, name).toMatch(/^before /)
      expect(clean, name).toMatch(/ after$/)
      expect(clean, name).not.toMatch(/Tr0u|b4do|or&3|54723075|VHIwdW|RyMHVi|UcjB1Y/i)
    }
  })

  it('are not seen where there are none', () => {
    const secrets = ['swordfish-1234', 'AKs7 dk"3/+=&%41', 'ÄÖÜß-password']
    const find = createSecretFinder(secrets)
    const prose = 'Tool output: {"a": "C:\\\\new\\n", "b": "50% of 20%41 &amp; more"} '.repeat(20)
    expect(find(prose)).toEqual([])
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!secrets.some((secret) => text.includes(secret)))
        expect(find(text)).toEqual([])
      }),
      { seed: 13, numRuns: 200 },
    )
  })

  it.each([
    ['prose', 'The quick brown fox, "jumps" over 13 lazy dogs.\n'],
    ['escapes', '\\"%22&quot;\\u0041'],
    ['percent signs', '%25'],
    ['backslashes', '\\'],
    ['base64', 'QWxhZGRpbjpvcGVuIHNlc2FtZQ/+-_'],
    ['beginnings of secrets', 'secret-0'],
    ['ampersands', '&#'],
  ])('takes time in proportion to the text: %s', (_name, piece) => {
    const find = createSecretFinder(
      Array.from({ length: 30 }, (_, index) => `secret-${index}-"quoted"/${'x'.repeat(index)}`),
    )
    const seconds = (length: number) => {
      const text = piece.repeat(Math.ceil(length / piece.length))
      const began = performance.now()
      find(text)
      return (performance.now() - began) / 1000
    }
    seconds(100_000)
    // A tenth of this on an idle machine; a square would take a thousand times as long.
    expect(seconds(1_000_000)).toBeLessThan(5)
  })
})
